//! What the sections of an index say, checked: labels name classes, entries ascend inside the plan, names are UTF-8,
//! moments are possible, the recipe agrees with the header, and every planned entry is a record or a refusal.
//!
//! After [`Content::check`] every later look into the index is inside its bounds. The class table is not parsed here:
//! it is long and the same in all shards, so a set parses it once.

use crate::class::Class;
use crate::digest::Digest;
use crate::error::Error;
use crate::header::Header;
use crate::index::{MAX_NAME_BYTES, Section, Sections, UNKNOWN_LABEL, u32_at, u64_at};
use crate::moments::Moments;
use crate::recipe::{Recipe, parse_canonical};
use crate::report::{ReportEntry, ReportKind};
use std::path::Path;

/// The parsed part of an index.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) recipe: Recipe,
    pub(crate) report: Vec<ReportEntry>,
    pub(crate) moments: Moments,
}

impl Content {
    /// Checks all sections but the class table.
    pub(crate) fn check(
        path: &Path,
        header: &Header,
        index: &[u8],
        sections: &Sections,
    ) -> Result<Self, Error> {
        let check = Check { path, header, index, sections };
        check.labels()?;
        check.entries()?;
        check.names()?;
        Ok(Content { moments: check.moments()?, recipe: check.recipe()?, report: check.report()? })
    }
}

/// The class table of a shard, checked against the header's digest and count.
pub(crate) fn classes(
    path: &Path,
    header: &Header,
    index: &[u8],
    sections: &Sections,
) -> Result<Vec<Class>, Error> {
    let check = Check { path, header, index, sections };
    let bytes = check.bytes(Section::Classes);
    let found = Digest::of(bytes);
    if found != header.classes {
        return Err(check.error(
            Section::Classes,
            0,
            format!("digest is {found}, the header says {}", header.classes),
        ));
    }
    let classes: Vec<Class> =
        parse_canonical(bytes).map_err(|problem| check.error(Section::Classes, 0, problem))?;
    if classes.len() as u64 != u64::from(header.class_count) {
        let problem = format!("lists {} classes, the header says {}", classes.len(), header.class_count);
        return Err(check.error(Section::Classes, 0, problem));
    }
    Ok(classes)
}

struct Check<'a> {
    path: &'a Path,
    header: &'a Header,
    index: &'a [u8],
    sections: &'a Sections,
}

impl<'a> Check<'a> {
    fn bytes(&self, section: Section) -> &'a [u8] {
        &self.index[self.sections.range(section)]
    }

    fn error(&self, section: Section, at: usize, problem: String) -> Error {
        let offset = self.header.index_offset() + (self.sections.range(section).start + at) as u64;
        Error::Section { path: self.path.to_owned(), offset, section, problem }
    }

    fn labels(&self) -> Result<(), Error> {
        let bytes = self.bytes(Section::Labels);
        let bad = |at: &usize| {
            let label = u32_at(bytes, *at);
            label >= self.header.class_count && label != UNKNOWN_LABEL
        };
        match (0..bytes.len()).step_by(4).find(bad) {
            None => Ok(()),
            Some(at) => {
                let (label, classes) = (u32_at(bytes, at), self.header.class_count);
                let problem = format!("record {} has label {label}, but there are {classes} classes", at / 4);
                Err(self.error(Section::Labels, at, problem))
            }
        }
    }

    fn entries(&self) -> Result<(), Error> {
        let bytes = self.bytes(Section::Entries);
        let end = self.header.first_entry + self.header.planned_entries;
        let mut low = self.header.first_entry;
        for at in (0..bytes.len()).step_by(8) {
            let entry = u64_at(bytes, at);
            if !(low..end).contains(&entry) {
                let problem = format!("record {} has entry {entry}, outside {low}..{end}", at / 8);
                return Err(self.error(Section::Entries, at, problem));
            }
            low = entry + 1;
        }
        Ok(())
    }

    fn names(&self) -> Result<(), Error> {
        let bytes = self.bytes(Section::Names);
        let error = |at, problem| self.error(Section::Names, at, problem);
        let offsets = (self.header.record_count as usize + 1) * 8;
        let Some(text) = bytes.get(offsets..) else {
            return Err(error(0, format!("has {} bytes, its offsets alone need {offsets}", bytes.len())));
        };
        let text = std::str::from_utf8(text)
            .map_err(|e| error(offsets + e.valid_up_to(), "a name is not UTF-8".to_owned()))?;
        let mut low = 0;
        for at in (0..offsets).step_by(8) {
            let offset = u64_at(bytes, at);
            // The first offset is 0, the last the text's length; between them they ascend by at most a name.
            let high = if at == 0 { 0 } else { low + MAX_NAME_BYTES as u64 };
            if !(low..=high).contains(&offset)
                || !text.is_char_boundary(offset.min(usize::MAX as u64) as usize)
            {
                return Err(error(
                    at,
                    format!("offset {offset} is not that of a name of {} bytes of text", text.len()),
                ));
            }
            low = offset;
        }
        if low != text.len() as u64 {
            return Err(error(offsets - 8, format!("names end at {low}, the text at {}", text.len())));
        }
        Ok(())
    }

    fn moments(&self) -> Result<Moments, Error> {
        let moments = Moments::from_bytes(self.bytes(Section::Moments));
        let pixels = self.header.record_count * u64::from(self.header.width) * u64::from(self.header.height);
        match moments.problem(pixels) {
            None => Ok(moments),
            Some(problem) => Err(self.error(Section::Moments, 0, problem)),
        }
    }

    fn recipe(&self) -> Result<Recipe, Error> {
        let bytes = self.bytes(Section::Recipe);
        let error = |problem| self.error(Section::Recipe, 0, problem);
        let found = Digest::of(bytes);
        if found != self.header.recipe {
            return Err(error(format!("digest is {found}, the header says {}", self.header.recipe)));
        }
        let recipe: Recipe = parse_canonical(bytes).map_err(error)?;
        let header = self.header;
        if let Some(problem) = recipe.problem() {
            return Err(error(problem));
        }
        if recipe.size != [header.width, header.height] || recipe.classes != header.classes {
            return Err(error("size or class table differ from the header's".to_owned()));
        }
        let first = u64::from(header.number).checked_mul(recipe.shard_records);
        let planned = first.map(|first| header.split_entries.saturating_sub(first).min(recipe.shard_records));
        let shards = header.split_entries.div_ceil(recipe.shard_records);
        if first != Some(header.first_entry)
            || planned != Some(header.planned_entries)
            || shards != u64::from(header.shard_count)
        {
            let problem = format!(
                "{} entries in shards of {} do not make shard {} of {} begin at {} with {}",
                header.split_entries,
                recipe.shard_records,
                header.number,
                header.shard_count,
                header.first_entry,
                header.planned_entries
            );
            return Err(error(problem));
        }
        Ok(recipe)
    }

    fn report(&self) -> Result<Vec<ReportEntry>, Error> {
        let error = |problem| self.error(Section::Report, 0, problem);
        let report: Vec<ReportEntry> = parse_canonical(self.bytes(Section::Report)).map_err(error)?;
        let entries = self.bytes(Section::Entries);
        let recorded: Vec<u64> = (0..entries.len()).step_by(8).map(|at| u64_at(entries, at)).collect();
        check_report(self.header, &recorded, &report).map_err(error)?;
        Ok(report)
    }
}

/// Checks a report against the entries that became records: in order, inside the plan, and nothing lost in silence.
pub(crate) fn check_report(header: &Header, recorded: &[u64], report: &[ReportEntry]) -> Result<(), String> {
    if !report.is_sorted_by_key(|entry| entry.entry) {
        return Err("entries are not in ascending order".to_owned());
    }
    let planned = header.first_entry..header.first_entry + header.planned_entries;
    let (mut refused, mut last) = (0, None);
    for line in report {
        if !planned.contains(&line.entry) {
            return Err(format!("entry {} is outside the plan {planned:?}", line.entry));
        }
        let has_record = recorded.binary_search(&line.entry).is_ok();
        if has_record == (line.kind == ReportKind::Refused) {
            let record = if has_record { "a record" } else { "no record" };
            return Err(format!("entry {} ({}) is {} but has {record}", line.entry, line.name, line.kind));
        }
        if !has_record && last.replace(line.entry) == Some(line.entry) {
            return Err(format!("entry {} ({}) is refused twice", line.entry, line.name));
        }
        refused += u64::from(!has_record);
    }
    if recorded.len() as u64 + refused != header.planned_entries {
        return Err(format!(
            "{} records and {refused} refused entries do not make {} planned entries",
            recorded.len(),
            header.planned_entries
        ));
    }
    Ok(())
}
