//! ls-qpack, through its Python package, reads what our encoder writes, and our decoder what it writes. The
//! test needs a Python with pylsqpack, which is part of aioquic's environment, and the corpus.

#[path = "../examples/qif/decode.rs"]
mod decode;
#[path = "../examples/qif/encode.rs"]
mod encode;
#[path = "../examples/qif/records.rs"]
mod records;
#[path = "../examples/qif/text.rs"]
mod text;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use encode::Choices;
use qpack::Policy;
use records::read_records;
use text::{read_qif, write_qif};

/// The Python that `WEFT_PYTHON` names, or that of the tests with aioquic.
fn python() -> Option<PathBuf> {
    let beside = || {
        let program = env::current_exe().ok()?;
        program
            .ancestors()
            .map(|folder| folder.join("aioquic-venv/bin/python"))
            .find(|python| python.is_file())
    };
    let python = env::var_os("WEFT_PYTHON").map(PathBuf::from).or_else(beside)?;
    let there = Command::new(&python).args(["-c", "import pylsqpack"]).output();
    there.is_ok_and(|output| output.status.success()).then_some(python)
}

fn run(python: &Path, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ls_qpack.py");
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn ls_qpack_and_we_read_each_other() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/qifs/qifs");
    let (Some(python), true) = (python(), corpus.is_dir()) else {
        println!("skipped: no Python with pylsqpack, or no corpus");
        return;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ls_qpack");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("file.out");
    let path = file.to_str().unwrap();
    for list in ["fb-req", "fb-resp", "netbsd"] {
        let lists = read_qif(&fs::read(corpus.join(format!("{list}.qif"))).unwrap()).unwrap();
        let source = folder.join("file.qif");
        fs::write(&source, write_qif(&lists)).unwrap();
        for (capacity, blocked) in [(0, 0), (256, 0), (256, 100), (512, 1), (4096, 0), (4096, 100)] {
            let numbers = [capacity.to_string(), blocked.to_string()];
            for acknowledged in [false, true] {
                for policy in [Policy::Balanced, Policy::Greedy] {
                    let choices = Choices { policy, capacity, blocked, acknowledged };
                    fs::write(&file, encode::encode(&lists, choices).unwrap()).unwrap();
                    let text = run(&python, &["decode", path, &numbers[0], &numbers[1]]).stdout;
                    assert!(read_qif(&text).unwrap() == lists, "{list} {choices:?}");
                }
                let ack = if acknowledged { "1" } else { "0" };
                let source = source.to_str().unwrap();
                run(&python, &["encode", source, &numbers[0], &numbers[1], ack, path]);
                let bytes = fs::read(&file).unwrap();
                let decoded = decode::decode(&read_records(&bytes).unwrap(), capacity, blocked).unwrap();
                assert!(decoded == lists, "{list} {capacity} {blocked} {ack}: {} bytes", bytes.len());
            }
        }
    }
}
