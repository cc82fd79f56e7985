//! Event files byte by byte against what TensorBoard's own writer (version 2.20) makes of the same events.

use alexnet_report::{EVENTS, Event, EventFile, Scalar, events, frame};
use alexnet_train::Record;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

const EVENT: &str =
    "0900002060b813da4110ac022a200a110a0a747261696e2f6c6f7373150000dd400a0b0a04726174651500000000";

#[test]
fn an_event_has_the_bytes_of_its_protocol_buffer() {
    let scalar = |tag: &str, value| Scalar { tag: tag.to_owned(), value };
    let scalars = vec![scalar("train/loss", 6.90625), scalar("rate", 0.0)];
    let event = Event { time: 1_750_000_000.5, step: 300, scalars };
    assert_eq!(event.encode(), bytes(EVENT));
    let framed = format!("2e00000000000000c5cb57fa{EVENT}8bb52888");
    assert_eq!(frame(&event.encode()), bytes(&framed));
}

fn train(step: u64) -> Record {
    Record::Train {
        step,
        epoch: step as f64 / 10.0,
        loss: 6.5,
        top1_error: 0.99,
        rate: 0.01,
        images_per_second: 40.0,
        time: 1_750_000_000.5,
    }
}

#[test]
fn a_file_opens_with_its_version() {
    let opening = "1800000000000000a37f4b220900002060b813da411a0d627261696e2e4576656e743a320db7880b";
    let all = events(&[train(1)]);
    assert_eq!(all[..opening.len() / 2], bytes(opening));
}

/// Written along with the log or made from it afterwards: the same bytes. A run that goes on drops what it repeats.
#[test]
fn the_file_is_a_function_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let line = |step: u64| {
        format!(
            "{{\"kind\":\"train\",\"step\":{step},\"epoch\":0.1,\"loss\":6.5,\"top1_error\":0.99,\"rate\":0.01,\
             \"images_per_second\":40.0,\"time\":1750000000.5}}\n"
        )
    };
    std::fs::write(dir.path().join("log.jsonl"), line(1)).unwrap();
    let mut file = EventFile::rewrite(dir.path()).unwrap();
    let read = |dir: &std::path::Path| std::fs::read(dir.join(EVENTS)).unwrap();
    let records = {
        std::fs::write(dir.path().join("log.jsonl"), line(1) + &line(2)).unwrap();
        alexnet_train::read_log(&dir.path().join("log.jsonl")).unwrap()
    };
    file.add(&records[1]).unwrap();
    assert_eq!(read(dir.path()), events(&records));
    drop(EventFile::rewrite(dir.path()).unwrap());
    assert_eq!(read(dir.path()), events(&records));
}
