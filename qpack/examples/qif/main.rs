//! Reads the files of the QPACK offline interoperability tests (<https://github.com/qpackers/qifs>).
//!
//! ```text
//! cargo run -p qpack --example qif -- decode FILE.out --table 4096 --blocked 100
//! ```

mod decode;
mod records;

use std::{
    error::Error,
    fs,
    io::{self, BufWriter, Write},
    process::ExitCode,
};

const USAGE: &str = "\
usage: qif decode FILE.out [--table BYTES] [--blocked STREAMS]

decode  writes the fields of FILE.out to the standard output as a .qif

--table    the largest dynamic table, in bytes (default 4096)
--blocked  the most blocked streams (default 100)";

struct Arguments {
    file: String,
    table: u64,
    blocked: u64,
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let done = match words.next().as_deref() {
        Some("decode") => Arguments::read(words).and_then(|arguments| decode_file(&arguments)),
        Some("--help" | "-h") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(USAGE.into()),
    };
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
        let mut arguments = Self { file: String::new(), table: 4096, blocked: 100 };
        while let Some(word) = words.next() {
            let mut number = || -> Result<u64, Box<dyn Error>> {
                let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
                value.parse().map_err(|_| format!("{word} {value}: not a number").into())
            };
            match word.as_str() {
                "--table" => arguments.table = number()?,
                "--blocked" => arguments.blocked = number()?,
                _ if word.starts_with('-') || !arguments.file.is_empty() => {
                    return Err(format!("{word}: unknown argument\n{USAGE}").into());
                }
                _ => arguments.file = word,
            }
        }
        if arguments.file.is_empty() { Err(USAGE.into()) } else { Ok(arguments) }
    }
}

fn read(file: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    fs::read(file).map_err(|error| format!("{file}: {error}").into())
}

fn decode_file(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let named = |error: &dyn Error| -> Box<dyn Error> { format!("{}: {error}", arguments.file).into() };
    let bytes = read(&arguments.file)?;
    let records = records::read_records(&bytes).map_err(|error| named(&error))?;
    let lists = decode::decode(&records, arguments.table, arguments.blocked, |_| {})
        .map_err(|error| named(&error))?;
    let mut out = BufWriter::new(io::stdout().lock());
    for list in lists {
        for (name, value) in list {
            out.write_all(&[&name, &b"\t"[..], &value, b"\n"].concat())?;
        }
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}
