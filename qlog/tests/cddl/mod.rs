//! The part of CDDL (RFC 8610) that the drafts of qlog use, and JSON held against it.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;

/// A type of CDDL.
#[derive(Clone, Debug)]
enum Type {
    /// A text or number that is given.
    Literal(String),
    Name(String),
    Choice(Vec<Type>),
    List {
        items: Box<Type>,
        least: usize,
        most: usize,
    },
    Map(Map),
}

/// The fields of a map.
#[derive(Clone, Debug, Default)]
struct Map {
    fields: BTreeMap<String, (Type, bool)>,
    /// Maps whose fields belong to this one, too.
    unwrapped: Vec<String>,
    /// Whether there may be fields that are not named.
    open: bool,
    /// Whether extensions may add fields.
    extensible: bool,
}

/// The definitions of the drafts.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    rules: BTreeMap<String, Type>,
}

/// What is wrong with a value, and where it is.
pub(crate) type Fault = String;

/// The files of the drafts, or `None` if they are not there. The automated build must have them.
pub(crate) fn schema() -> Option<Schema> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/specs");
    let mut schema = Schema::default();
    for name in ["qlog-main-schema.md", "qlog-quic-events.md", "qlog-h3-events.md"] {
        let Ok(text) = std::fs::read_to_string(folder.join(name)) else {
            let required = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!required, "the drafts of qlog are missing");
            println!("skipped: the drafts of qlog are not there");
            return None;
        };
        for block in text.split("\n~~~ cddl\n").skip(1) {
            let block = block.split("\n~~~").next().expect("the block itself");
            Parser::new(block).rules(&mut schema);
        }
    }
    Some(schema)
}

impl Schema {
    /// Checks a record: the first of a file by the schema of files, the others by that of their event.
    pub(crate) fn check_record(&self, record: &Value) -> Result<(), Fault> {
        let Some(name) = record["name"].as_str() else {
            return self.check_named("QlogFileSeq", record, "header");
        };
        let (namespace, event) = name.split_once(':').ok_or_else(|| format!("{name} has no name space"))?;
        if namespace.starts_with("weft_") {
            return Ok(());
        }
        let wanted = format!("{namespace}{}", event.replace('_', ""));
        let found = self.rules.keys().find(|rule| rule.to_ascii_lowercase() == wanted);
        let rule = found.ok_or_else(|| format!("the drafts have no event {name}"))?;
        if !record["time"].is_number() {
            return Err(format!("{name} has no time"));
        }
        self.check_named(rule, &record["data"], name)
    }

    fn check_named(&self, rule: &str, value: &Value, at: &str) -> Result<(), Fault> {
        let fits =
            |fits: bool, what: &str| if fits { Ok(()) } else { Err(format!("{at}: {value} is no {what}")) };
        let most = |bits: u32| value.as_u64().is_some_and(|number| bits == 64 || number < 1 << bits);
        let text = value.as_str();
        let is_hex = |text: &str| {
            text.len().is_multiple_of(2)
                && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        match rule {
            "uint8" => fits(most(8), rule),
            "uint16" => fits(most(16), rule),
            "uint32" => fits(most(32), rule),
            "uint64" => fits(most(64), rule),
            "bool" => fits(value.is_boolean(), rule),
            "text" => fits(text.is_some(), rule),
            "float32" | "float64" => fits(value.is_number(), rule),
            "hexstring" => fits(text.is_some_and(is_hex), rule),
            "any" => Ok(()),
            "CryptoError" => {
                let code = text.and_then(|text| text.strip_prefix("crypto_error_0x1"));
                fits(code.is_some_and(|code| code.len() == 2 && is_hex(code)), rule)
            }
            _ => {
                let definition =
                    self.rules.get(rule).ok_or_else(|| format!("{at}: the drafts lack {rule}"))?;
                self.check(definition, value, at)
            }
        }
    }

    fn check(&self, definition: &Type, value: &Value, at: &str) -> Result<(), Fault> {
        match definition {
            Type::Literal(wanted) if value.as_str() == Some(wanted) => Ok(()),
            Type::Literal(wanted) => Err(format!("{at}: {value} is not {wanted:?}")),
            Type::Name(name) => self.check_named(name, value, at),
            Type::Choice(choices) => self.check_choice(choices, value, at),
            Type::List { items, least, most } => {
                let list = value.as_array().ok_or_else(|| format!("{at}: {value} is no list"))?;
                if !(*least..=*most).contains(&list.len()) {
                    return Err(format!("{at}: {} items", list.len()));
                }
                list.iter()
                    .enumerate()
                    .try_for_each(|(n, item)| self.check(items, item, &format!("{at}[{n}]")))
            }
            Type::Map(map) => self.check_map(map, value, at),
        }
    }

    fn check_choice(&self, choices: &[Type], value: &Value, at: &str) -> Result<(), Fault> {
        // A frame is held against the definition of its own type, for an open map would take anything.
        let mut faults = Vec::new();
        for choice in choices.iter().filter(|choice| !self.takes_anything(choice)) {
            match self.check(choice, value, at) {
                Ok(()) => return Ok(()),
                Err(fault) => faults.push(fault),
            }
        }
        faults.sort_by_key(|fault| fault.contains("frame_type"));
        Err(faults.first().cloned().unwrap_or_else(|| format!("{at}: nothing to choose")))
    }

    fn takes_anything(&self, choice: &Type) -> bool {
        matches!(choice, Type::Map(map) if map.open && map.fields.is_empty())
    }

    fn check_map(&self, map: &Map, value: &Value, at: &str) -> Result<(), Fault> {
        let object = value.as_object().ok_or_else(|| format!("{at}: {value} is no object"))?;
        let mut fields = map.fields.clone();
        for name in &map.unwrapped {
            if let Some(Type::Map(other)) = self.rules.get(name) {
                fields.extend(other.fields.clone());
            }
        }
        // The type of a frame first: what it tells of the others decides whose fault it is.
        for (name, (field, optional)) in
            fields.iter().filter(|(name, _)| name.ends_with("_type")).chain(&fields)
        {
            match object.get(name) {
                Some(value) => self.check(field, value, &format!("{at}.{name}"))?,
                None if *optional => {}
                None => return Err(format!("{at}: {name} is missing")),
            }
        }
        let foreign =
            |name: &&String| !(fields.contains_key(*name) || map.extensible && name.starts_with("weft_"));
        match object.keys().find(foreign) {
            Some(name) if !map.open => Err(format!("{at}: the drafts know no {name}")),
            _ => Ok(()),
        }
    }
}

/// Reads CDDL by tokens.
struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn new(text: &str) -> Self {
        let mut tokens = Vec::new();
        for line in text.lines() {
            let line = line.split(';').next().unwrap_or_default();
            let mut rest = line.trim_start();
            while let Some(first) = rest.chars().next() {
                let end = match first {
                    '"' => rest[1..].find('"').expect("the end of a text") + 2,
                    _ if rest.starts_with("/=") || rest.starts_with("=>") => 2,
                    '{' | '}' | '[' | ']' | '(' | ')' | ':' | '?' | '/' | '=' | ',' | '~' | '+' => 1,
                    _ => rest
                        .find(|c: char| c.is_whitespace() || "{}[]():?/=,~+\"".contains(c))
                        .unwrap_or(rest.len()),
                };
                tokens.push(rest[..end].to_owned());
                rest = rest[end..].trim_start();
            }
        }
        Self { tokens, at: 0 }
    }

    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned().unwrap_or_default()
    }

    fn takes(&mut self, token: &str) -> bool {
        let takes = self.peek() == token;
        self.at += usize::from(takes);
        takes
    }

    fn rules(mut self, schema: &mut Schema) {
        while self.at < self.tokens.len() {
            let name = self.next().trim_start_matches('$').to_owned();
            let adds = self.takes("/=");
            assert!(adds || self.takes("="), "{name} is defined, not {}", self.peek());
            let definition = self.choice();
            match (adds, schema.rules.remove(&name)) {
                (true, Some(before)) => schema.rules.insert(name, Type::Choice(vec![before, definition])),
                (_, _) => schema.rules.insert(name, definition),
            };
        }
    }

    fn choice(&mut self) -> Type {
        let mut choices = vec![self.one()];
        while self.takes("/") {
            choices.push(self.one());
        }
        if choices.len() == 1 { choices.remove(0) } else { Type::Choice(choices) }
    }

    fn one(&mut self) -> Type {
        let token = self.next();
        let found = match token.as_str() {
            "{" => Type::Map(self.map()),
            "[" => self.list(),
            _ if token.starts_with('"') => Type::Literal(token.trim_matches('"').to_owned()),
            _ => Type::Name(token.trim_start_matches('$').to_owned()),
        };
        while self.peek().starts_with('.') {
            // `.default`, `.size` and `.regexp` have a value that does not matter here.
            self.next();
            self.next();
        }
        found
    }

    fn list(&mut self) -> Type {
        let (least, most) = match self.peek() {
            "+" => (1, usize::MAX),
            "*" => (0, usize::MAX),
            count => {
                let (least, most) = count.split_once('*').expect("how many");
                (least.parse().expect("a number"), most.parse().expect("a number"))
            }
        };
        self.next();
        let items = if self.peek() == "text" { Type::Name(self.next()) } else { self.choice() };
        assert!(self.takes("]"), "the end of a list, not {}", self.peek());
        Type::List { items: Box::new(items), least, most }
    }

    fn map(&mut self) -> Map {
        let mut map = Map::default();
        while !self.takes("}") {
            if self.takes(",") {
                continue;
            }
            if self.takes("~") {
                map.unwrapped.push(self.next());
                continue;
            }
            if self.takes("*") {
                let kind = self.next();
                if kind.starts_with("$$") {
                    map.extensible = true;
                } else {
                    assert!(kind == "text" && self.takes("=>") && self.takes("any"), "fields of any name");
                    map.open = true;
                }
                continue;
            }
            let optional = self.takes("?");
            let name = self.next();
            assert!(self.takes(":"), "a field {name} has a type, not {}", self.peek());
            map.fields.insert(name, (self.choice(), optional));
        }
        map
    }
}
