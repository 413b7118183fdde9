//! Reads and writes the files of the QPACK offline interoperability tests (<https://github.com/qpackers/qifs>).
//!
//! ```text
//! cargo run -p qpack --example qif -- decode FILE.out --table 4096 --blocked 100
//! cargo run -p qpack --example qif -- encode FILE.qif --table 4096 --blocked 100 --ack immediate --out FILE.out
//! ```

mod decode;
mod encode;
mod records;
mod text;

use std::{
    error::Error,
    fs,
    io::{self, Write},
    process::ExitCode,
};

use encode::Choices;
use qpack::Policy;

const USAGE: &str = "\
usage: qif decode FILE.out [--table BYTES] [--blocked STREAMS] [--out FILE.qif]
       qif encode FILE.qif [--table BYTES] [--blocked STREAMS] [--out FILE.out]
                           [--ack immediate|none] [--policy balanced|greedy|static]

decode  writes the fields of FILE.out as a .qif
encode  writes the lists of FILE.qif as records of encoded bytes

--table    the largest dynamic table, in bytes (default 4096)
--blocked  the most blocked streams (default 100)
--ack      whether each section is acknowledged at once or never (default immediate)
--policy   how much the dynamic table is used (default balanced)
--out      the file to write (default: the standard output)";

struct Arguments {
    file: String,
    out: Option<String>,
    choices: Choices,
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command: fn(&Arguments) -> Result<(), Box<dyn Error>> = match words.next().as_deref() {
        Some("decode") => decode_file,
        Some("encode") => encode_file,
        Some("--help" | "-h") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let done = Arguments::read(words).and_then(|arguments| {
        command(&arguments).map_err(|error| format!("{}: {error}", arguments.file).into())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let choices = Choices { policy: Policy::Balanced, capacity: 4096, blocked: 100, acknowledged: true };
        let mut arguments = Self { file: String::new(), out: None, choices };
        while let Some(word) = words.next() {
            if !word.starts_with("--") && arguments.file.is_empty() {
                arguments.file = word;
                continue;
            }
            let choices = &mut arguments.choices;
            let value = words.next();
            match (word.as_str(), value.as_deref()) {
                ("--table", Some(value)) => choices.capacity = number(&word, value)?,
                ("--blocked", Some(value)) => choices.blocked = number(&word, value)?,
                ("--ack", Some("immediate")) => choices.acknowledged = true,
                ("--ack", Some("none")) => choices.acknowledged = false,
                ("--policy", Some("balanced")) => choices.policy = Policy::Balanced,
                ("--policy", Some("greedy")) => choices.policy = Policy::Greedy,
                ("--policy", Some("static")) => choices.policy = Policy::StaticOnly,
                ("--out", Some(_)) => arguments.out = value,
                _ => {
                    return Err(
                        format!("{word} {}: not understood\n{USAGE}", value.unwrap_or_default()).into()
                    );
                }
            }
        }
        if arguments.file.is_empty() { Err(USAGE.into()) } else { Ok(arguments) }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        match &self.out {
            Some(path) => fs::write(path, bytes).map_err(|error| format!("{path}: {error}"))?,
            None => io::stdout().lock().write_all(bytes)?,
        }
        Ok(())
    }
}

fn number(word: &str, value: &str) -> Result<u64, Box<dyn Error>> {
    value.parse().map_err(|_| format!("{word} {value}: not a number").into())
}

fn decode_file(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let bytes = fs::read(&arguments.file)?;
    let Choices { capacity, blocked, .. } = arguments.choices;
    let lists = decode::decode(&records::read_records(&bytes)?, capacity, blocked)?;
    arguments.write(&text::write_qif(&lists))
}

fn encode_file(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let lists = text::read_qif(&fs::read(&arguments.file)?)?;
    arguments.write(&encode::encode(&lists, arguments.choices)?)
}
