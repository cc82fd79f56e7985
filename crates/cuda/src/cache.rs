//! Cubins, and choices that were measured, kept between runs.
//!
//! An entry's name is the digest of everything its content depends on (sources, headers, options, architecture,
//! NVRTC's version), and it begins with the digest of the rest, so a damaged, cut or foreign entry is known and made
//! anew. A cache that cannot be written costs time and nothing else.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::compile::{CompileError, HEADERS, KERNELS, KernelFile, OPTIONS, compile, version};

/// A folder of cubins, or none.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// A cache in `folder`; `None` compiles anew each time.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Cache { folder }
    }

    /// The user's cache: `$XDG_CACHE_HOME/alexnet/kernels`, else `$HOME/.cache/alexnet/kernels`, else none.
    pub fn of_user() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        Cache::new(root.map(|root| root.join("alexnet/kernels")))
    }

    /// The cubin of a kernel file for an architecture, from the cache or from the compiler.
    ///
    /// # Errors
    /// [`CompileError`]; a cache that cannot be read or written is none.
    pub fn cubin(&self, file: &KernelFile, architecture: &str) -> Result<Vec<u8>, CompileError> {
        self.cubin_with(file, architecture, version(), || compile(file, architecture).map(|done| done.cubin))
    }

    /// A short text kept under a key, if it is there and whole.
    pub(crate) fn note(&self, key: &str) -> Option<String> {
        let path = self.folder.as_ref()?.join(format!("{}.note", digest_of([key])));
        String::from_utf8(read(&path)?).ok()
    }

    /// Keeps a short text; as cubins, it may be lost.
    pub(crate) fn keep_note(&self, key: &str, text: &str) {
        if let Some(folder) = &self.folder {
            let _ = write(folder, &folder.join(format!("{}.note", digest_of([key]))), text.as_bytes());
        }
    }

    fn cubin_with(
        &self,
        file: &KernelFile,
        architecture: &str,
        version: (i32, i32),
        compile: impl FnOnce() -> Result<Vec<u8>, CompileError>,
    ) -> Result<Vec<u8>, CompileError> {
        let Some(folder) = &self.folder else { return compile() };
        let path = folder.join(format!("{}.cubin", key(file, architecture, version)));
        if let Some(cubin) = read(&path) {
            return Ok(cubin);
        }
        let cubin = compile()?;
        let _ = write(folder, &path, &cubin); // without a cache the next start takes longer, that is all
        Ok(cubin)
    }
}

/// Digest of all that a cubin depends on.
fn key(file: &KernelFile, architecture: &str, version: (i32, i32)) -> String {
    let sources = std::iter::once(file).chain(HEADERS).flat_map(|source| [source.name, source.source]);
    let version = format!("{}.{}", version.0, version.1);
    digest_of(sources.chain(OPTIONS.iter().copied()).chain([architecture, &version]))
}

/// Digest of all our kernels, whose speed a choice depends on.
pub(crate) fn sources() -> String {
    digest_of(KERNELS.iter().chain(HEADERS).map(|file| file.source))
}

/// Digest of some texts; every one is preceded by its length, so that none runs into the next.
fn digest_of<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    let (digest, cubin) = bytes.split_first_chunk::<32>()?;
    (Sha256::digest(cubin).as_slice() == digest).then(|| cubin.to_vec())
}

/// Beside the final name first: another process may read or write the same entry.
fn write(folder: &Path, path: &Path, cubin: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    std::fs::write(&partial, [Sha256::digest(cubin).as_slice(), cubin].concat())?;
    std::fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn entries_are_reused_and_damage_is_mended() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(Some(folder.path().join("deeper")));
        let made = Cell::new(0);
        let get = |file: usize, architecture: &str, version| {
            let cubin = cache.cubin_with(&KERNELS[file], architecture, version, || {
                made.set(made.get() + 1);
                Ok(format!("{file} {architecture} {version:?}").into_bytes())
            });
            assert_eq!(
                cubin.expect("it compiles"),
                format!("{file} {architecture} {version:?}").into_bytes()
            );
            made.get()
        };
        assert_eq!([get(0, "sm_90", (13, 0)), get(0, "sm_90", (13, 0))], [1, 1]);
        assert_eq!([get(1, "sm_90", (13, 0)), get(0, "sm_80", (13, 0)), get(0, "sm_90", (13, 1))], [2, 3, 4]);
        let entries = || {
            std::fs::read_dir(folder.path().join("deeper"))
                .expect("the cache")
                .map(|e| e.expect("one").path())
        };
        assert_eq!(entries().count(), 4, "no partial file stays");
        for damage in [
            |bytes: &mut Vec<u8>| bytes[40] ^= 1,
            |bytes: &mut Vec<u8>| bytes.truncate(20),
            |bytes: &mut Vec<u8>| bytes.clear(),
        ] {
            for entry in entries() {
                let mut bytes = std::fs::read(&entry).expect("an entry");
                damage(&mut bytes);
                std::fs::write(&entry, bytes).expect("an entry");
            }
            let before = made.get();
            assert_eq!([get(0, "sm_90", (13, 0)), get(0, "sm_90", (13, 0))], [before + 1, before + 1]);
        }
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_none() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let cache = Cache::new(Some(file.path().to_owned()));
        let cubin = cache.cubin_with(&KERNELS[0], "sm_90", (13, 0), || Ok(vec![1]));
        assert_eq!(cubin.expect("it compiles"), [1]);
    }
}
