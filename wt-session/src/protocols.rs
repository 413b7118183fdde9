//! Application protocols (§3.3): structured fields (RFC 9651) with strings, or with tokens in drafts 10 to
//! 12.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{
    BareItemFromInput, ItemSerializer, Parser, StringRef, TokenRef,
    visitor::{EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor},
};

/// `WT-Available-Protocols`: the protocols that a client offers, best first.
pub const WT_AVAILABLE_PROTOCOLS: HeaderName = HeaderName::from_static("wt-available-protocols");
/// `WT-Protocol`: the protocol that the server chose.
pub const WT_PROTOCOL: HeaderName = HeaderName::from_static("wt-protocol");

/// How the names of protocols are written (RFC 9651 §3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// As strings, in quotes.
    #[default]
    String,
    /// As tokens, as in drafts 10 to 12.
    Token,
}

/// The value of `WT-Available-Protocols`; `None` for an empty list, or a name that is not printable ASCII.
#[must_use]
pub fn offer<S: AsRef<str>>(protocols: &[S]) -> Option<HeaderValue> {
    let names: Option<Vec<String>> = protocols.iter().map(|name| item(name.as_ref())).collect();
    let names = names.filter(|names| !names.is_empty())?;
    HeaderValue::from_str(&names.join(", ")).ok()
}

/// The value of `WT-Protocol`; `None` for a name that is not printable ASCII.
#[must_use]
pub fn choice(protocol: &str) -> Option<HeaderValue> {
    choice_in(Form::String, protocol)
}

/// As [`choice`], in the given form. Not every name is a valid token.
pub(crate) fn choice_in(form: Form, protocol: &str) -> Option<HeaderValue> {
    let value = match form {
        Form::String => item(protocol)?,
        Form::Token => ItemSerializer::new().bare_item(TokenRef::from_str(protocol).ok()?).finish(),
    };
    HeaderValue::from_str(&value).ok()
}

fn item(name: &str) -> Option<String> {
    Some(ItemSerializer::new().bare_item(StringRef::from_str(name).ok()?).finish())
}

/// The protocols that a request offers; empty if it offers none or the field is not a list of strings.
#[must_use]
pub fn offered(headers: &HeaderMap) -> Vec<String> {
    offered_in(Form::String, headers)
}

/// As [`offered`], for names in the given form.
pub(crate) fn offered_in(form: Form, headers: &HeaderMap) -> Vec<String> {
    let mut list = List { form, names: Vec::new() };
    for value in headers.get_all(WT_AVAILABLE_PROTOCOLS) {
        // §3.3: a member of another type makes the whole field invalid, and it is ignored.
        if Parser::new(value.as_bytes()).parse_list_with_visitor(&mut list).is_err() {
            return Vec::new();
        }
    }
    list.names
}

/// The protocol that a response chose; `None` if it chose none or the field is not a string.
#[must_use]
pub fn chosen(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(WT_PROTOCOL).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let mut name = None;
    Parser::new(value.as_bytes()).parse_item_with_visitor(OneString(&mut name)).ok()?;
    name
}

/// The field contains something that is no name in the expected form.
#[derive(Debug, thiserror::Error)]
#[error("not a name")]
struct NotAName;

struct List {
    form: Form,
    names: Vec<String>,
}

impl<'de> ListVisitor<'de> for List {
    type Error = NotAName;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, NotAName> {
        Ok(Member(self))
    }
}

struct Member<'a>(&'a mut List);

impl<'de> ItemVisitor<'de> for Member<'_> {
    type Error = NotAName;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de>, NotAName> {
        self.0.names.push(name(self.0.form, &item)?);
        Ok(Ignored)
    }
}

impl<'de> EntryVisitor<'de> for Member<'_> {
    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, NotAName> {
        Err::<Ignored, _>(NotAName)
    }
}

struct OneString<'a>(&'a mut Option<String>);

impl<'de> ItemVisitor<'de> for OneString<'_> {
    type Error = NotAName;

    fn bare_item(self, item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de>, NotAName> {
        *self.0 = Some(name(Form::String, &item)?);
        Ok(Ignored)
    }
}

fn name(form: Form, item: &BareItemFromInput<'_>) -> Result<String, NotAName> {
    let name = match form {
        Form::String => item.as_string().map(StringRef::as_str),
        Form::Token => item.as_token().map(TokenRef::as_str),
    };
    name.map(str::to_owned).ok_or(NotAName)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_lists_of_strings_are_valid() {
        for (values, expected) in [
            (&[r#""a", "b";q=1"#][..], &["a", "b"][..]),
            (&[r#""a""#, r#""b\"c""#], &["a", "b\"c"]),
            (&[r#""a", token"#], &[]),
            (&[r#""a", 7"#], &[]),
            (&[r#"("a" "b")"#], &[]),
            (&[r#""a"#], &[]),
            (&[], &[]),
        ] {
            let map = values.iter().map(|value| (WT_AVAILABLE_PROTOCOLS, HeaderValue::from_static(value)));
            assert_eq!(offered(&map.collect()), expected, "{values:?}");
        }
        for (value, expected) in
            [(r#""a";x=2"#, Some("a")), ("a", None), (r#""a", "b""#, None), ("1", None), ("", None)]
        {
            assert_eq!(chosen(&headers(&WT_PROTOCOL, &[value])).as_deref(), expected, "{value}");
        }
        assert_eq!(chosen(&headers(&WT_PROTOCOL, &[r#""a""#, r#""a""#])), None);
    }

    #[test]
    fn only_lists_of_tokens_are_valid() {
        for (value, expected) in
            [("a, b-1;q=1", &["a", "b-1"][..]), ("a, \"b\"", &[]), ("\"a\"", &[]), ("(a b)", &[])]
        {
            let map = headers(&WT_AVAILABLE_PROTOCOLS, &[value]);
            assert_eq!(offered_in(Form::Token, &map), expected, "{value}");
        }
        assert_eq!(choice_in(Form::Token, "b-1").unwrap(), "b-1");
        assert_eq!(choice_in(Form::Token, "two words"), None);
    }

    #[test]
    fn written_lists_are_read_back() {
        let names = ["one", "with \"quotes\" and \\", "x"];
        let map = [(WT_AVAILABLE_PROTOCOLS, offer(&names).unwrap())].into_iter().collect();
        assert_eq!(offered(&map), names);
        let map = [(WT_PROTOCOL, choice(names[1]).unwrap())].into_iter().collect();
        assert_eq!(chosen(&map).as_deref(), Some(names[1]));
        assert_eq!(offer(&["caf\u{e9}"]), None);
        assert_eq!(offer::<&str>(&[]), None);
    }
}
