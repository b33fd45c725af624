//! From a broker into definitions.

use serde_json::json;

use super::json::from_table;
use super::{
    BindingDefinition, Definitions, ExchangeDefinition, Parameter, QueueDefinition, UserDefinition,
    VhostDefinition,
};
use crate::broker::Broker;
use crate::broker::vhost::Vhost;

impl Broker {
    /// Everything but messages. Left out are what every virtual host has anyway, and queues that go with their
    /// connection.
    pub fn definitions(&self) -> Definitions {
        let mut definitions = Definitions {
            rabbitmq_version: Some("3.13.7".into()),
            users: self.users().list().iter().map(UserDefinition::of).collect(),
            permissions: self.permissions(),
            topic_permissions: self.topic_permissions(),
            policies: self.policies(),
            ..Definitions::default()
        };
        for info in self.vhosts() {
            let Some(vhost) = self.vhost(&info.name) else { continue };
            if info.limits != Default::default() {
                definitions.parameters.push(Parameter {
                    vhost: info.name.clone(),
                    component: "vhost-limits".into(),
                    name: "limits".into(),
                    value: json!(info.limits),
                });
            }
            topology(&vhost, &info.name, &mut definitions);
            let (name, limits, metadata) = (info.name, info.limits, info.metadata);
            definitions.vhosts.push(VhostDefinition { name, limits, metadata });
        }
        for policy in self.operator_policies() {
            definitions.parameters.push(Parameter {
                component: "operator_policy".into(),
                value: json!({
                    "pattern": policy.pattern,
                    "definition": policy.definition,
                    "priority": policy.priority,
                    "apply-to": policy.apply_to,
                }),
                vhost: policy.vhost,
                name: policy.name,
            });
        }
        definitions
    }
}

fn topology(vhost: &Vhost, name: &str, definitions: &mut Definitions) {
    let own = |name: &str| !name.starts_with("amq.");
    definitions.exchanges.extend(vhost.exchanges().into_iter().filter(|exchange| own(&exchange.name)).map(
        |exchange| ExchangeDefinition {
            name: exchange.name.to_string(),
            vhost: name.into(),
            r#type: exchange.options.kind.name().into(),
            durable: exchange.options.durable,
            auto_delete: exchange.options.auto_delete,
            internal: exchange.options.internal,
            arguments: from_table(&exchange.options.arguments),
        },
    ));
    let queues = vhost.queues();
    let exclusive =
        |name: &str| queues.iter().any(|queue| queue.options.exclusive && *queue.info.name == *name);
    definitions.bindings.extend(
        vhost.bindings().into_iter().filter(|binding| !exclusive(&binding.destination)).map(|binding| {
            BindingDefinition {
                source: binding.source.to_string(),
                vhost: name.into(),
                destination: binding.destination.to_string(),
                destination_type: binding.destination_type,
                routing_key: binding.routing_key,
                arguments: from_table(&binding.arguments),
            }
        }),
    );
    definitions.queues.extend(queues.iter().filter(|queue| !queue.options.exclusive).map(|queue| {
        QueueDefinition {
            name: queue.info.name.to_string(),
            vhost: name.into(),
            durable: queue.options.durable,
            auto_delete: queue.options.auto_delete,
            arguments: from_table(&queue.options.arguments),
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Options;

    /// As RabbitMQ writes it, empty lists for empty objects included.
    const DOCUMENT: &str = r#"{
        "rabbit_version": "3.13.7",
        "users": [
            {"name": "ann", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
             "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ["management"],
             "limits": {"max-channels": 3}},
            {"name": "eve", "password_hash": "", "tags": "monitoring, policymaker", "limits": []}],
        "vhosts": [{"name": "/", "limits": [], "metadata": {"description": "d", "tags": [],
                    "default_queue_type": "quorum", "tracing": false}}],
        "permissions": [{"user": "ann", "vhost": "/", "configure": "^q", "write": ".*", "read": ""}],
        "topic_permissions": [{"user": "ann", "vhost": "/", "exchange": "t", "write": "a", "read": "b"}],
        "parameters": [
            {"vhost": "/", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 5}},
            {"vhost": "/", "component": "operator_policy", "name": "o",
             "value": {"pattern": ".*", "definition": {"max-length": 3}, "priority": 0, "apply-to": "queues"}},
            {"vhost": "/", "component": "shovel", "name": "s", "value": {}}],
        "global_parameters": [{"name": "cluster_name", "value": "x"}],
        "policies": [{"vhost": "/", "name": "p", "pattern": "^q", "apply-to": "queues", "priority": 1,
                      "definition": {"message-ttl": 60000}}],
        "queues": [{"name": "q", "vhost": "/", "durable": true, "auto_delete": false, "arguments": []},
                   {"name": "amq.gen-x", "vhost": "/", "durable": false, "auto_delete": true, "arguments": {}}],
        "exchanges": [{"name": "t", "vhost": "/", "type": "topic", "durable": true, "auto_delete": false,
                       "internal": false, "arguments": {"alternate-exchange": "amq.fanout"}}],
        "bindings": [{"source": "t", "vhost": "/", "destination": "q", "destination_type": "queue",
                      "routing_key": "a.*", "arguments": {"x": 1}}]
    }"#;

    #[test]
    fn what_is_imported_is_exported() {
        let imported = Broker::empty(Options::default());
        imported.import(&Definitions::parse(DOCUMENT).unwrap()).unwrap();
        let document = imported.definitions().to_json();
        let again = Broker::empty(Options::default());
        again.import(&Definitions::parse(&document).unwrap()).unwrap();
        assert_eq!(again.definitions().to_json(), document);

        let definitions = imported.definitions();
        assert_eq!(definitions.users[1].tags, ["monitoring", "policymaker"]);
        assert_eq!(definitions.vhosts[0].limits.max_queues, Some(5));
        assert_eq!(definitions.vhosts[0].metadata.default_queue_type.as_deref(), Some("quorum"));
        assert_eq!(definitions.queues.len(), 1);
        assert_eq!(definitions.bindings[0].routing_key, "a.*");
        assert_eq!(imported.operator_policies()[0].definition["max-length"], 3);
        assert!(imported.users().authenticate("ann", b"test12", false).is_ok());
        assert!(imported.open("/", "guest").is_err(), "definitions bring their own users");
    }

    #[test]
    fn an_import_that_is_refused_says_of_what() {
        let broker = Broker::new(Options::default());
        let refused = |json: &str| {
            let imported = Definitions::parse(json).and_then(|definitions| broker.import(&definitions));
            imported.unwrap_err().to_string()
        };
        assert!(refused(r#"{"users": [{}]}"#).contains("missing field `name` at line 1"));
        let permissions =
            r#"{"permissions": [{"user": "x", "vhost": "/", "configure": "", "write": "", "read": ""}]}"#;
        assert!(refused(permissions).contains("no user 'x'"));
        let user = r#"{"users": [{"name": "x", "password_hash": "abc", "tags": ""}]}"#;
        assert!(refused(user).contains("user 'x'"), "{}", refused(user));
    }
}
