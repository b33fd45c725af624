//! The spec as Rust source.

use std::collections::HashMap;
use std::fmt::Write;

use crate::spec::{Class, Field, Method, Spec, Type};

type Types<'a> = HashMap<&'a str, Type>;

/// The whole of `generated.rs`, not yet formatted.
pub(crate) fn write(spec: &Spec) -> String {
    let types = spec.types();
    let mut out = String::from(
        "//! The methods and properties of AMQP 0-9-1 with RabbitMQ's extensions.
         //!
         //! Written by `cargo run -p warrenmq-codegen` from `spec/amqp-rabbitmq-0.9.1.json`; change those, not this.
         //! The reserved field `ticket` is written as 0 and not read.

         use super::frame::{FRAME_OVERHEAD};
         use super::output::{Output, Put, put_sized};
         use super::properties::{PropertiesView, PropertyKind, flag};
         use super::reader::Reader;
         use super::{DecodeError, ShortString, Table};

        ",
    );
    constants(&mut out, spec);
    signatures(&mut out, spec, &types);
    method_enum(&mut out, spec);
    for class in &spec.classes {
        class_module(&mut out, class, &types);
    }
    for class in spec.classes.iter().filter(|class| !class.properties.is_empty()) {
        properties(&mut out, class, &types);
    }
    out
}

macro_rules! emit {
    ($out:expr, $($arg:tt)*) => { writeln!($out, $($arg)*).expect("a String takes everything") };
}

fn constants(out: &mut String, spec: &Spec) {
    // FRAME-MIN-SIZE is not taken: RabbitMQ 4's file departs from the standard there.
    for constant in &spec.constants {
        let meaning = match constant.name.as_str() {
            "FRAME-METHOD" => "Type of a method frame.",
            "FRAME-HEADER" => "Type of a content header frame.",
            "FRAME-BODY" => "Type of a content body frame.",
            "FRAME-HEARTBEAT" => "Type of a heartbeat frame.",
            "FRAME-END" => "The last octet of every frame.",
            _ => continue,
        };
        emit!(out, "/// {meaning}\npub const {}: u8 = {};", screaming(&constant.name), constant.value);
    }
    emit!(out, "\n/// The spec's errors: reply code, name, and whether it closes the connection.");
    emit!(out, "#[cfg(test)]\npub(super) const ERRORS: &[(u16, &str, bool)] = &[");
    for constant in &spec.constants {
        if let Some(class) = &constant.class {
            emit!(out, "({}, {:?}, {}),", constant.value, screaming(&constant.name), class == "hard-error");
        }
    }
    emit!(out, "];");
}

/// What the tests build payloads from, so that they do not read what the code under test wrote.
fn signatures(out: &mut String, spec: &Spec, types: &Types<'_>) {
    emit!(out, "\n/// Id, name, whether content follows, and the types of the fields, `ticket` included.");
    emit!(out, "#[cfg(test)]\npub(super) const SIGNATURES: &[(u32, &str, bool, &[&str])] = &[");
    for class in &spec.classes {
        for method in &class.methods {
            let id = u32::from(class.id) << 16 | u32::from(method.id);
            let kinds: Vec<_> = method
                .arguments
                .iter()
                .map(|field| match field.resolve(types) {
                    _ if reserved(field, method) => "reserved",
                    Type::Bit => "bit",
                    kind => reader_method(kind),
                })
                .collect();
            emit!(out, "({id:#010x}, \"{}.{}\", {}, &{kinds:?}),", class.name, method.name, method.content);
        }
    }
    emit!(out, "];");
}

fn method_enum(out: &mut String, spec: &Spec) {
    let methods: Vec<_> = spec
        .classes
        .iter()
        .flat_map(|class| class.methods.iter().map(move |method| (class, method)))
        .collect();

    emit!(out, "/// Any method.\n#[derive(Clone, Debug, PartialEq)]\npub enum Method {{");
    for (class, method) in &methods {
        emit!(
            out,
            "/// `{}.{}`\n{}({}),",
            class.name,
            method.name,
            variant(class, method),
            path(class, method)
        );
    }
    emit!(out, "}}");

    emit!(
        out,
        "\nimpl Method {{
            /// Reads the payload of a method frame.
            ///
            /// # Errors
            /// `UnknownMethod`, or a field is malformed, or bytes are left over.
            pub fn decode(payload: &[u8]) -> Result<Method, DecodeError> {{
                let mut reader = Reader(payload);
                let id = reader.u32()?;
                let method = match id {{"
    );
    for (class, method) in &methods {
        let path = path(class, method);
        emit!(out, "{path}::ID => Method::{}({path}::read(&mut reader)?),", variant(class, method));
    }
    emit!(
        out,
        "       _ => return Err(DecodeError::UnknownMethod {{ class: (id >> 16) as u16, method: id as u16 }}),
                }};
                reader.finish().map(|()| method)
            }}

            /// Writes a whole method frame. It is the caller's affair that it does not exceed the negotiated
            /// frame-max: a method cannot be split.
            pub fn encode(&self, channel: u16, out: &mut impl Output) {{
                out.reserve(FRAME_OVERHEAD + 64);
                out.put(&[FRAME_METHOD]);
                out.put(&channel.to_be_bytes());
                put_sized(out, |out| {{
                    out.put(&self.number().to_be_bytes());
                    match self {{"
    );
    for (class, method) in &methods {
        emit!(out, "Method::{}(method) => method.write(out),", variant(class, method));
    }
    emit!(
        out,
        "           }}
                }});
                out.put(&[FRAME_END]);
            }}

            /// Class id and method id.
            pub fn id(&self) -> (u16, u16) {{
                let number = self.number();
                ((number >> 16) as u16, number as u16)
            }}"
    );
    for (doc, name, result, value) in [
        (
            "Class and method id in one number, as [`method_id`](super::method_id) reads it.",
            "number",
            "u32",
            "ID",
        ),
        ("The spec's name: `queue.declare`.", "name", "&'static str", "NAME"),
        ("Whether content header and body follow.", "has_content", "bool", "HAS_CONTENT"),
    ] {
        emit!(out, "\n/// {doc}\npub fn {name}(&self) -> {result} {{ match self {{");
        for (class, method) in &methods {
            emit!(out, "Method::{}(_) => {}::{value},", variant(class, method), path(class, method));
        }
        emit!(out, "}} }}");
    }
    emit!(out, "}}");

    for (class, method) in &methods {
        let (path, variant) = (path(class, method), variant(class, method));
        emit!(
            out,
            "\nimpl From<{path}> for Method {{ fn from(method: {path}) -> Self {{ Method::{variant}(method) }} }}"
        );
    }
}

fn class_module(out: &mut String, class: &Class, types: &Types<'_>) {
    let name = &class.name;
    emit!(
        out,
        "\n/// The methods of class `{name}`.\npub mod {name} {{
            use super::*;

            /// The id of class `{name}`.
            pub const CLASS_ID: u16 = {};",
        class.id
    );
    for method in &class.methods {
        method_struct(out, class, method, types);
    }
    emit!(out, "}}");
}

fn method_struct(out: &mut String, class: &Class, method: &Method, types: &Types<'_>) {
    let name = camel(&method.name);
    let fields: Vec<(&Field, Type)> =
        method.arguments.iter().map(|field| (field, field.resolve(types))).collect();
    let eq = if fields.iter().any(|(_, kind)| *kind == Type::Table) { "" } else { ", Eq" };

    emit!(out, "\n/// `{}.{}`", class.name, method.name);
    emit!(out, "#[derive(Clone, Debug, Default, PartialEq{eq})]\npub struct {name} {{");
    for (field, kind) in fields.iter().filter(|(field, _)| !reserved(field, method)) {
        emit!(out, "pub {}: {},", snake(&field.name), rust_type(*kind));
    }
    emit!(out, "}}\n");

    let (reader, read) = reads(&fields, method);
    let (target, write) = writes(&fields, method);
    emit!(
        out,
        "\nimpl {name} {{
            /// Class id << 16 | method id.
            pub const ID: u32 = {} << 16 | {};
            pub(super) const NAME: &'static str = \"{}.{}\";
            pub(super) const HAS_CONTENT: bool = {};

            pub(super) fn read({reader}: &mut Reader<'_>) -> Result<Self, DecodeError> {{ {read} }}

            pub(super) fn write(&self, {target}: &mut impl Output) {{ {write} }}
        }}",
        class.id,
        method.id,
        class.name,
        method.name,
        method.content
    );
}

/// The parameter's name and the body of `read`. Bits that follow each other share octets, the first in the lowest bit.
fn reads(fields: &[(&Field, Type)], method: &Method) -> (&'static str, String) {
    let (mut lets, mut names) = (String::new(), Vec::new());
    let mut bits = 0;
    for (field, kind) in fields {
        if *kind == Type::Bit {
            if bits % 8 == 0 {
                emit!(lets, "let bits = reader.u8()?;");
            }
            emit!(lets, "let {} = bits & {:#04x} != 0;", snake(&field.name), 1 << (bits % 8));
            bits += 1;
            names.push(snake(&field.name));
            continue;
        }
        bits = 0;
        if reserved(field, method) {
            emit!(lets, "reader.{}()?;", reader_method(*kind));
        } else {
            emit!(lets, "let {} = reader.{}()?;", snake(&field.name), reader_method(*kind));
            names.push(snake(&field.name));
        }
    }
    let reader = if fields.is_empty() { "_" } else { "reader" };
    (reader, format!("{lets} Ok(Self {{ {} }})", names.join(", ")))
}

/// The parameter's name and the body of `write`.
fn writes(fields: &[(&Field, Type)], method: &Method) -> (&'static str, String) {
    let mut body = String::new();
    let mut rest = fields;
    while let [(field, kind), after @ ..] = rest {
        rest = after;
        let name = snake(&field.name);
        if *kind == Type::Bit {
            let more = after.iter().take(7).take_while(|(_, kind)| *kind == Type::Bit).count();
            let mut octet = format!("u8::from(self.{name})");
            for (bit, (field, _)) in after[..more].iter().enumerate() {
                write!(octet, " | u8::from(self.{}) << {}", snake(&field.name), bit + 1)
                    .expect("a String takes everything");
            }
            emit!(body, "out.put(&[{octet}]);");
            rest = &after[more..];
        } else if reserved(field, method) {
            emit!(body, "Put::put(&0_{}, out);", rust_type(*kind));
        } else {
            emit!(body, "Put::put(&self.{name}, out);");
        }
    }
    (if fields.is_empty() { "_" } else { "out" }, body)
}

fn properties(out: &mut String, class: &Class, types: &Types<'_>) {
    let fields: Vec<(&Field, Type)> =
        class.properties.iter().map(|field| (field, field.resolve(types))).collect();

    emit!(
        out,
        "\n/// The properties of a message, decoded. [`PropertiesView`] is the encoded form.
         ///
         /// `delivery-mode` is 1 (transient) or 2 (persistent), `expiration` milliseconds in decimal digits,
         /// `timestamp` seconds since 1970.
         #[derive(Clone, Debug, Default, PartialEq)]\npub struct Properties {{"
    );
    for (field, kind) in &fields {
        emit!(out, "pub {}: Option<{}>,", snake(&field.name), rust_type(*kind));
    }
    emit!(
        out,
        "}}

        impl Properties {{
            /// Reads flags and list.
            ///
            /// # Errors
            /// `Truncated`, `TrailingBytes`, `NotUtf8`, `UnknownFieldType`, `NestedTooDeep`.
            pub fn decode(encoded: &[u8]) -> Result<Properties, DecodeError> {{
                let mut reader = Reader(encoded);
                let flags = reader.u16()?;
                let has = |index| flags & flag(index) != 0;
                let properties = Properties {{"
    );
    for (field, kind) in &fields {
        emit!(
            out,
            "{}: has(property::{}).then(|| reader.{}()).transpose()?,",
            snake(&field.name),
            screaming(&field.name),
            reader_method(*kind)
        );
    }
    emit!(
        out,
        "       }};
                reader.finish().map(|()| properties)
            }}

            /// Writes flags and list.
            pub fn encode(&self, out: &mut impl Output) {{
                let mut flags = 0;"
    );
    for (field, _) in &fields {
        emit!(
            out,
            "if self.{}.is_some() {{ flags |= flag(property::{}); }}",
            snake(&field.name),
            screaming(&field.name)
        );
    }
    emit!(out, "Put::put(&flags, out);");
    for (field, _) in &fields {
        emit!(out, "if let Some(value) = &self.{} {{ value.put(out); }}", snake(&field.name));
    }
    emit!(out, "}} }}");

    emit!(out, "\nimpl<'a> PropertiesView<'a> {{");
    for (index, (field, kind)) in fields.iter().enumerate() {
        let (result, getter) = match kind {
            Type::ShortString => ("&'a str", "short_str"),
            Type::Octet => ("u8", "octet"),
            Type::Timestamp => ("u64", "long_long"),
            // Headers have more than one getter, beside PropertiesView.
            _ => continue,
        };
        emit!(
            out,
            "\n/// `{}`\n#[inline]\npub fn {}(self) -> Option<{result}> {{ self.{getter}({index}) }}",
            field.name,
            snake(&field.name)
        );
    }
    emit!(out, "}}");

    emit!(
        out,
        "\n/// Where each property stands in flags and list.\npub(super) mod property {{ use super::PropertyKind;"
    );
    for (index, (field, _)) in fields.iter().enumerate() {
        emit!(out, "pub(in super::super) const {}: usize = {index};", screaming(&field.name));
    }
    emit!(out, "pub(in super::super) const COUNT: usize = {};", fields.len());
    emit!(out, "pub(in super::super) const KINDS: [PropertyKind; COUNT] = [");
    for (_, kind) in &fields {
        emit!(
            out,
            "PropertyKind::{},",
            match kind {
                Type::ShortString => "ShortString",
                Type::Octet => "Octet",
                Type::Timestamp => "Timestamp",
                Type::Table => "Table",
                _ => panic!("no property of class {} had this type before", class.name),
            }
        );
    }
    emit!(out, "]; }}");
}

/// `ticket`, which 0-9-1 reserves, except where the answer to `access.request` gives one.
fn reserved(field: &Field, method: &Method) -> bool {
    field.name == "ticket" && method.name != "request-ok"
}

fn rust_type(kind: Type) -> &'static str {
    match kind {
        Type::Bit => "bool",
        Type::Octet => "u8",
        Type::Short => "u16",
        Type::Long => "u32",
        Type::LongLong | Type::Timestamp => "u64",
        Type::ShortString => "ShortString",
        Type::LongString => "bytes::Bytes",
        Type::Table => "Table",
    }
}

fn reader_method(kind: Type) -> &'static str {
    match kind {
        Type::Bit => unreachable!("bits are read by the octet"),
        Type::Octet => "u8",
        Type::Short => "u16",
        Type::Long => "u32",
        Type::LongLong | Type::Timestamp => "u64",
        Type::ShortString => "short_string",
        Type::LongString => "long_string",
        Type::Table => "table",
    }
}

fn path(class: &Class, method: &Method) -> String {
    format!("{}::{}", class.name, camel(&method.name))
}

fn variant(class: &Class, method: &Method) -> String {
    camel(&class.name) + &camel(&method.name)
}

fn camel(name: &str) -> String {
    name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn snake(name: &str) -> String {
    match name {
        "type" => "r#type".into(),
        _ => name.replace('-', "_"),
    }
}

fn screaming(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}
