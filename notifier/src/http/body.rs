//! The body that the operator wrote for a gateway of text messages or calls, with `{to}`, `{text}` and `{id}` in it.

use form_urlencoded::Serializer;
use serde::Deserialize;
use serde_json::Value;

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// JSON.
    Json,
}

/// A body with places for the fields of a notice. What is put in is encoded after that, so that no value can become more than a value.
#[derive(Clone, Debug)]
pub struct Body {
    format: Format,
    template: Value,
}

/// What is put in.
pub(super) struct Values<'a> {
    pub(super) to: &'a str,
    pub(super) text: &'a str,
    pub(super) id: &'a str,
}

impl Body {
    /// Checks that the template can be written in this format and names no other field.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(format: Format, template: Value) -> Result<Self, &'static str> {
        let Value::Object(fields) = &template else { return Err("write a table") };
        if format == Format::Form && !fields.values().all(Value::is_string) {
            return Err("a form has texts alone: \"1\" for a number, or format = \"json\"");
        }
        let mut texts = Vec::new();
        collect(&template, &mut texts);
        if !texts.iter().all(|text| fill(text, &Values { to: "", text: "", id: "" }).is_some()) {
            return Err("knows {to}, {text} and {id}, and no other braces");
        }
        if !texts.iter().any(|text| text.contains("{to}"))
            || !texts.iter().any(|text| text.contains("{text}"))
        {
            return Err("must have {to} and {text} in it");
        }
        Ok(Self { format, template })
    }

    /// Content type and body.
    pub(super) fn fill(&self, values: &Values<'_>) -> (&'static str, Vec<u8>) {
        let filled = filled(&self.template, values);
        match (self.format, &filled) {
            (Format::Form, Value::Object(fields)) => {
                let texts = fields.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
                let form = Serializer::new(String::new()).extend_pairs(texts).finish();
                ("application/x-www-form-urlencoded", form.into_bytes())
            }
            _ => ("application/json", filled.to_string().into_bytes()),
        }
    }
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn filled(value: &Value, values: &Values<'_>) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, values).unwrap_or_default()),
        Value::Array(list) => list.iter().map(|value| filled(value, values)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), filled(value, values))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// In one pass: what was put in is not looked at again. None where the text has other braces.
fn fill(text: &str, values: &Values<'_>) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, behind) = after.split_once('}')?;
        filled += before;
        filled += match field {
            "to" => values.to,
            "text" => values.text,
            "id" => values.id,
            _ => return None,
        };
        rest = behind;
    }
    filled += rest;
    Some(filled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use serde_json::json;

    const VALUES: Values<'_> = Values { to: "+81 90{text}", text: "a \"quote\" & 画", id: "a5" };

    #[test]
    fn what_is_put_in_stays_a_value() {
        let template = json!({"to": "tel:{to}", "body": "{text}", "ref": "{id}{id}"});
        let (kind, body) = Body::new(Format::Form, template.clone()).unwrap().fill(&VALUES);
        assert_eq!(kind, "application/x-www-form-urlencoded");
        let form: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
        let expected = [("body", VALUES.text), ("ref", "a5a5"), ("to", "tel:+81 90{text}")];
        assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let (kind, body) = Body::new(Format::Json, template).unwrap().fill(&VALUES);
        assert_eq!(kind, "application/json");
        let back: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(back, json!({"to": "tel:+81 90{text}", "body": VALUES.text, "ref": "a5a5"}));
    }

    #[test]
    fn json_may_be_deep_and_a_form_not() {
        let deep = json!({"messages": [{"to": ["{to}"], "text": "{text}", "flash": true, "n": 1}]});
        let (_, body) = Body::new(Format::Json, deep.clone()).unwrap().fill(&VALUES);
        let back: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(back["messages"][0]["to"][0], VALUES.to);
        assert!(Body::new(Format::Form, deep).unwrap_err().contains("texts alone"));
    }

    #[test]
    fn templates_with_other_fields_or_without_the_needed_ones_are_refused() {
        for (template, words) in [
            (json!({"a": "{to} {text} {patient}"}), "no other braces"),
            (json!({"a": "{to} {text} {"}), "no other braces"),
            (json!({"a": "{to}"}), "{text}"),
            (json!({"a": "{text}"}), "{to}"),
            (json!("{to} {text}"), "table"),
        ] {
            assert!(Body::new(Format::Json, template).unwrap_err().contains(words), "{words}");
        }
    }
}
