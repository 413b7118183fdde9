//! The scenarios that come with the laboratory, and their selection by name.

use super::scenario::{Scenario, ScenarioError};

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("scenarios/", $name, ".toml")))),*]
    };
}

/// The scenarios that come with the laboratory, in their order.
const BUILT_IN: &[(&str, &str)] = &built_in![
    "B1", "B2", "B3a", "B3b", "B3c", "B3d", "B4a", "B4b", "B4c", "B5a", "B5b", "B5c", "B5d", "B5e", "B5f",
    "B6a", "B6b", "B7a", "B7b", "B7c", "B8a", "B8b", "B8c", "B8d", "B8e", "B9a", "B9b", "B10a", "B10b",
    "B10c", "B10d", "B10e", "B10f", "B11a", "B11b", "B11c", "B11d", "B12a", "B12b", "B12c", "B12d", "B12e",
    "B12f", "B12g", "B13a", "B13b", "B13c", "B13d", "B13e", "B13f", "B13g"
];

/// All scenarios that come with the laboratory.
///
/// # Errors
/// If one of them is invalid, which a test excludes.
pub fn built_in() -> Result<Vec<Scenario>, ScenarioError> {
    BUILT_IN.iter().map(|(name, text)| Scenario::parse(name, text)).collect()
}

/// The selected scenarios, each once. A selection is `all`, the beginning of a name like B3, or a file.
///
/// # Errors
/// [`ScenarioError`] if a name matches no scenario, a file is no scenario, or two have the same name.
pub fn select(names: &[String]) -> Result<Vec<Scenario>, ScenarioError> {
    let all = built_in()?;
    let mut selected: Vec<Scenario> = Vec::new();
    for name in names {
        if name.contains(['.', '/']) {
            let scenario = Scenario::read(name.as_ref())?;
            if selected.iter().any(|other| other.id == scenario.id) {
                return Err(ScenarioError::Taken(name.clone(), scenario.id));
            }
            selected.push(scenario);
            continue;
        }
        // B1 does not select B10.
        let is_meant = |scenario: &&Scenario| {
            let rest = scenario.id.as_str().strip_prefix(name.as_str()).filter(|_| !name.is_empty());
            name == "all" || rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        if !all.iter().any(|scenario| is_meant(&scenario)) {
            return Err(ScenarioError::Unknown(name.clone()));
        }
        for scenario in all.iter().filter(is_meant) {
            if !selected.iter().any(|other| other.id == scenario.id) {
                selected.push(scenario.clone());
            }
        }
    }
    Ok(selected)
}
