//! The options of `cargo xtask test`.

/// Options of `test`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TestOptions {
    /// Whether to skip tests with browsers.
    pub(crate) no_browser: bool,
    /// Whether to skip all tests with other implementations.
    pub(crate) no_e2e: bool,
    /// Whether to continue after a failed step.
    pub(crate) keep_going: bool,
    /// Run only the steps whose names contain this text.
    pub(crate) only: Option<String>,
}

impl TestOptions {
    /// Parses the arguments after `test`. The error is the unknown argument.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--only" => match arguments.next() {
                    Some(words) => options.only = Some(words.clone()),
                    None => return Err("--only without words of a step's name".to_owned()),
                },
                "--no-browser" => options.no_browser = true,
                "--no-e2e" => options.no_e2e = true,
                "--keep-going" => options.keep_going = true,
                unknown => return Err(unknown.to_owned()),
            }
        }
        Ok(options)
    }
}

/// Whether this run must be complete, so that a missing tool is a failure.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_is_named() {
        let parse =
            |words: &[&str]| TestOptions::parse(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&["--no-browser", "--bogus"]), Err("--bogus".to_owned()));
        assert!(parse(&["--only"]).is_err());
        assert_eq!(parse(&["--only", "lints"]).map(|options| options.only), Ok(Some("lints".to_owned())));
        assert_eq!(parse(&["--no-e2e"]), Ok(TestOptions { no_e2e: true, ..TestOptions::default() }));
    }
}
