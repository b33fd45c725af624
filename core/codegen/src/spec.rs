//! The spec file, as far as it is used.

use std::collections::HashMap;

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Spec {
    domains: Vec<(String, String)>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) classes: Vec<Class>,
}

#[derive(Deserialize)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) value: u16,
    /// `soft-error`, `hard-error`, or none for what is no error.
    pub(crate) class: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Class {
    pub(crate) id: u16,
    pub(crate) name: String,
    pub(crate) methods: Vec<Method>,
    #[serde(default)]
    pub(crate) properties: Vec<Field>,
}

#[derive(Deserialize)]
pub(crate) struct Method {
    pub(crate) id: u16,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) content: bool,
    pub(crate) arguments: Vec<Field>,
}

#[derive(Deserialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    r#type: Option<String>,
    domain: Option<String>,
}

/// The elementary types of 0-9-1 section 4.2.5 and RabbitMQ's spec.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Bit,
    Octet,
    Short,
    Long,
    LongLong,
    ShortString,
    LongString,
    Timestamp,
    Table,
}

impl Spec {
    pub(crate) fn types(&self) -> HashMap<&str, Type> {
        self.domains
            .iter()
            .map(|(domain, name)| {
                let elementary = match name.as_str() {
                    "bit" => Type::Bit,
                    "octet" => Type::Octet,
                    "short" => Type::Short,
                    "long" => Type::Long,
                    "longlong" => Type::LongLong,
                    "shortstr" => Type::ShortString,
                    "longstr" => Type::LongString,
                    "timestamp" => Type::Timestamp,
                    "table" => Type::Table,
                    other => panic!("the spec has a type that is not elementary: {other}"),
                };
                (domain.as_str(), elementary)
            })
            .collect()
    }
}

impl Field {
    pub(crate) fn resolve(&self, types: &HashMap<&str, Type>) -> Type {
        let name = self.r#type.as_ref().or(self.domain.as_ref()).expect("a field has a type or a domain");
        types[name.as_str()]
    }
}
