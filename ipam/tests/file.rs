//! The journal on a real file system.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use ipam::{
    Record, Timestamp,
    file::{FileError, FileJournal},
    journal,
};

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("addresses.journal");
    (directory, path)
}

fn allocated(last: u8) -> Record {
    Record::Allocated {
        owner: format!("c{last}/eth0"),
        addresses: vec![IpAddr::from([10, 0, 0, last])],
        pod: "default/pod".to_owned(),
        at: Timestamp(last.into()),
    }
}

#[test]
fn records_outlive_the_process() {
    let (_directory, path) = place();
    let (mut file, replay) = FileJournal::open(&path).unwrap();
    assert_eq!((replay.records, replay.torn), (0, false));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    file.append(&allocated(1)).unwrap();
    file.append(&allocated(2)).unwrap();
    drop(file);
    let (mut file, replay) = FileJournal::open(&path).unwrap();
    assert_eq!((replay.records, replay.torn), (2, false));
    file.append(&Record::Released { owner: "c1/eth0".to_owned(), at: Timestamp(9) }).unwrap();
    assert_eq!(file.len(), fs::metadata(&path).unwrap().len());
    drop(file);
    let (_, replay) = FileJournal::open(&path).unwrap();
    assert_eq!(replay.state.held().collect::<Vec<_>>(), [IpAddr::from([10, 0, 0, 2])]);
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_was_torn() {
    let (_directory, path) = place();
    let (mut file, _) = FileJournal::open(&path).unwrap();
    file.append(&allocated(1)).unwrap();
    drop(file);
    let whole = fs::read(&path).unwrap();
    let next = journal::encode(&allocated(2));
    for cut in 1..next.len() {
        fs::write(&path, [&whole[..], &next[..cut]].concat()).unwrap();
        let (mut file, replay) = FileJournal::open(&path).unwrap();
        assert_eq!((replay.records, replay.torn), (1, true), "after {cut} bytes");
        assert_eq!(fs::read(&path).unwrap(), whole);
        // What follows is whole again.
        file.append(&allocated(3)).unwrap();
        drop(file);
        assert_eq!(FileJournal::open(&path).unwrap().1.records, 2, "after {cut} bytes");
    }
}

#[test]
fn a_damaged_journal_is_refused_and_left_alone() {
    let (_directory, path) = place();
    let (mut file, _) = FileJournal::open(&path).unwrap();
    file.append(&allocated(1)).unwrap();
    file.append(&allocated(2)).unwrap();
    drop(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[30] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let refused = FileJournal::open(&path).unwrap_err();
    assert!(matches!(refused, FileError::Journal { .. }));
    assert!(refused.to_string().contains("record at byte 8 is damaged"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn one_process_at_a_time() {
    let (_directory, path) = place();
    let (mut file, _) = FileJournal::open(&path).unwrap();
    assert!(matches!(FileJournal::open(&path), Err(FileError::Locked { .. })));
    // Also after another file has taken the journal's place.
    file.compact(&ipam::State::default()).unwrap();
    assert!(matches!(FileJournal::open(&path), Err(FileError::Locked { .. })));
    drop(file);
    FileJournal::open(&path).unwrap();
}

#[test]
fn compaction_keeps_the_state() {
    let (_directory, path) = place();
    let (mut file, _) = FileJournal::open(&path).unwrap();
    let mut state = ipam::State::default();
    for turn in 0..50 {
        for record in [
            allocated(turn % 5),
            Record::Released { owner: format!("c{}/eth0", turn % 3), at: Timestamp(turn.into()) },
        ] {
            file.append(&record).unwrap();
            state.apply(&record).unwrap();
        }
    }
    let long = file.len();
    file.compact(&state).unwrap();
    assert!(file.len() < long / 5, "{} of {long}", file.len());
    file.append(&allocated(9)).unwrap();
    state.apply(&allocated(9)).unwrap();
    drop(file);
    // A compaction that was interrupted leaves its temporary file, which nobody reads.
    fs::write(path.with_extension("journal.tmp"), "half").unwrap();
    let (mut file, replay) = FileJournal::open(&path).unwrap();
    assert_eq!(replay.state, state);
    file.compact(&state).unwrap();
    assert!(!path.with_extension("journal.tmp").exists());
}

#[test]
fn a_journal_that_was_being_made_is_made() {
    let (_directory, path) = place();
    OpenOptions::new().create_new(true).write(true).open(&path).unwrap().write_all(b"NLI").unwrap();
    let (mut file, replay) = FileJournal::open(&path).unwrap();
    assert!(replay.torn);
    file.append(&allocated(1)).unwrap();
    drop(file);
    assert_eq!(FileJournal::open(&path).unwrap().1.records, 1);
}

#[test]
fn errors_name_the_file() {
    let error = FileJournal::open("/nonexistent/addresses.journal").unwrap_err();
    assert!(error.to_string().contains("/nonexistent/addresses.journal"), "{error}");
}

#[test]
fn a_journal_of_the_first_version_is_taken_over() {
    let (_directory, path) = place();
    let old = [journal::MAGIC_V1.as_slice(), &journal::encode(&allocated(1))].concat();
    fs::write(&path, &old).unwrap();
    let (mut file, replay) = FileJournal::open(&path).unwrap();
    assert_eq!((replay.version, replay.records), (1, 1));
    assert!(fs::read(&path).unwrap().starts_with(journal::MAGIC));
    file.append(&allocated(2)).unwrap();
    drop(file);
    let (_, replay) = FileJournal::open(&path).unwrap();
    assert_eq!((replay.version, replay.records), (2, 2));
}
