//! Regular expressions of permissions and policies, as RabbitMQ means them: PCRE's syntax with look-around
//! (`^(?!amq\.).*` is its documentation's own example), found anywhere in the name.

use std::fmt;
use std::sync::Arc;

use fancy_regex::Regex;

use crate::error::{Error, Kind, Result};

/// A compiled pattern; clones share it.
#[derive(Clone)]
pub(crate) struct Pattern(Matcher);

#[derive(Clone)]
enum Matcher {
    /// `.*`, which almost every user has: neither compiled nor run.
    Anything,
    /// `^$`.
    Empty,
    Regex(Arc<Regex>),
}

impl Pattern {
    /// Compiles a pattern; the empty one is found in every name.
    ///
    /// # Errors
    /// `InvalidArgument`, with what is wrong with it.
    pub(crate) fn new(operation: &'static str, text: &str) -> Result<Self> {
        let matcher = match text {
            "" | "^" | ".*" | "^.*" => Matcher::Anything,
            "^$" => Matcher::Empty,
            _ => Matcher::Regex(Arc::new(Regex::new(&braces_escaped(text)).map_err(|error| {
                let reason = format!("regular expression '{text}' is invalid: {error}");
                Error::new(Kind::InvalidArgument, operation, reason).caused_by(error)
            })?)),
        };
        Ok(Pattern(matcher))
    }

    /// Whether it is found in a name. A pattern that takes too many steps on a name does not match it.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Matcher::Anything => true,
            Matcher::Empty => name.is_empty(),
            Matcher::Regex(regex) => regex.is_match(name).unwrap_or(false),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Matcher::Anything => f.write_str(".*"),
            Matcher::Empty => f.write_str("^$"),
            Matcher::Regex(regex) => f.write_str(regex.as_str()),
        }
    }
}

/// For PCRE a brace that begins no repetition is itself; here it must be escaped. Topic permissions have such
/// ones, for variables that this protocol does not know (`{client_id}`).
fn braces_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.char_indices();
    while let Some((at, char)) = rest.next() {
        match char {
            '\\' => {
                escaped.push('\\');
                if let Some((_, next)) = rest.next() {
                    escaped.push(next);
                    // \p{Greek}, \x{2603}, \k{name}
                    if matches!(next, 'p' | 'P' | 'x' | 'k' | 'g') && text[at + 2..].starts_with('{') {
                        escaped.extend(rest.by_ref().map(|(_, inside)| inside).take_while(|c| *c != '}'));
                        escaped.push('}');
                    }
                }
            }
            '{' if !is_repetition(&text[at + 1..]) => escaped.push_str("\\{"),
            char => escaped.push(char),
        }
    }
    escaped
}

fn is_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    !low.is_empty() && [low, high].iter().all(|bound| bound.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, name: &str) -> bool {
        Pattern::new("test", pattern).unwrap().matches(name)
    }

    #[test]
    fn a_pattern_is_found_anywhere_unless_it_says_where() {
        assert!(found("b", "abc") && !found("^b", "abc") && found("^a.c$", "abc"));
        assert!(found(".*", "") && found("", "x") && !found("^$", "x") && found("^$", ""));
    }

    #[test]
    fn look_around_is_understood() {
        assert!(found(r"^(?!amq\.).*", "tasks") && !found(r"^(?!amq\.).*", "amq.gen-1"));
    }

    #[test]
    fn a_brace_that_begins_no_repetition_is_itself() {
        assert!(
            found("^{client_id}$", "{client_id}") && found("^a{2}$", "aa") && found("^a{1,}b{,2}", "ab{,2}")
        );
        assert!(found(r"^\x{61}\p{Greek}\{$", "aα{"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        let error = Pattern::new("set_permissions", "(").unwrap_err();
        assert!(error.to_string().contains("regular expression '(' is invalid"), "{error}");
    }
}
