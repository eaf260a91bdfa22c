//! Replays what the fuzzers found worth keeping: every file in `fuzz/corpus`.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use moorline_fuzz_bodies::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn replay(target: &str) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("it is a target");
    let dir = corpus().join(target);
    let names = names(&dir);
    assert!(names.len() >= 10, "only {} files in {}", names.len(), dir.display());
    for name in names {
        let data = fs::read(dir.join(&name)).expect("it can be read");
        assert!(catch_unwind(|| body(&data)).is_ok(), "fuzz/corpus/{target}/{name}");
    }
}

#[test]
fn every_input_of_the_binary_decoder_is_survived() {
    replay("binary_decoder");
}

#[test]
fn every_input_of_the_json_decoder_is_survived() {
    replay("json_decoder");
}

#[test]
fn every_handshake_is_survived() {
    replay("http_request");
}

#[test]
fn every_stream_of_frames_is_survived() {
    replay("websocket_frames");
}

#[test]
fn every_sequence_of_inputs_leaves_the_machine_sane() {
    replay("machine");
}

#[test]
fn every_peer_of_a_session_leaves_the_machine_sane() {
    replay("session");
}

#[test]
fn every_target_has_a_corpus_and_a_binary() {
    let mut targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    targets.sort_unstable();
    assert_eq!(names(&corpus()), targets);
    let files: Vec<String> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&corpus().join("../fuzz_targets")), files);
}
