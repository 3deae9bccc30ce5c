//! A build without the feature `redis`.

use crate::needs::skip;
use crate::program::Program;

fn a_build_without_an_engine_names_the_feature() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["server", "--bind", "127.0.0.1:0", "--engine", "redis://127.0.0.1/r"];
    let mut program = Program::start(dir.path(), &args);
    assert_eq!(program.wait(), Some(1), "{}", program.output());
    assert!(program.output().contains("--features redis"), "{}", program.output());
}

fn rooms_on_several_servers() {
    skip("needs a Unix, and the feature redis");
}

tests! {
    a_build_without_an_engine_names_the_feature,
    rooms_on_several_servers,
}
