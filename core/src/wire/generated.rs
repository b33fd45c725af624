//! The methods and properties of AMQP 0-9-1 with RabbitMQ's extensions.
//!
//! Written by `cargo run -p warrenmq-codegen` from `spec/amqp-rabbitmq-0.9.1.json`; change those, not this.
//! The reserved field `ticket` is written as 0 and not read.

use super::frame::FRAME_OVERHEAD;
use super::output::{Output, Put, put_sized};
use super::properties::{PropertiesView, PropertyKind, flag};
use super::reader::Reader;
use super::{DecodeError, ShortString, Table};

/// Type of a method frame.
pub const FRAME_METHOD: u8 = 1;
/// Type of a content header frame.
pub const FRAME_HEADER: u8 = 2;
/// Type of a content body frame.
pub const FRAME_BODY: u8 = 3;
/// Type of a heartbeat frame.
pub const FRAME_HEARTBEAT: u8 = 8;
/// The last octet of every frame.
pub const FRAME_END: u8 = 206;

/// The spec's errors: reply code, name, and whether it closes the connection.
#[cfg(test)]
pub(super) const ERRORS: &[(u16, &str, bool)] = &[
    (311, "CONTENT_TOO_LARGE", false),
    (312, "NO_ROUTE", false),
    (313, "NO_CONSUMERS", false),
    (403, "ACCESS_REFUSED", false),
    (404, "NOT_FOUND", false),
    (405, "RESOURCE_LOCKED", false),
    (406, "PRECONDITION_FAILED", false),
    (320, "CONNECTION_FORCED", true),
    (402, "INVALID_PATH", true),
    (501, "FRAME_ERROR", true),
    (502, "SYNTAX_ERROR", true),
    (503, "COMMAND_INVALID", true),
    (504, "CHANNEL_ERROR", true),
    (505, "UNEXPECTED_FRAME", true),
    (506, "RESOURCE_ERROR", true),
    (530, "NOT_ALLOWED", true),
    (540, "NOT_IMPLEMENTED", true),
    (541, "INTERNAL_ERROR", true),
];

/// Id, name, whether content follows, and the types of the fields, `ticket` included.
#[cfg(test)]
pub(super) const SIGNATURES: &[(u32, &str, bool, &[&str])] = &[
    (0x003c000a, "basic.qos", false, &["u32", "u16", "bit"]),
    (0x003c000b, "basic.qos-ok", false, &[]),
    (
        0x003c0014,
        "basic.consume",
        false,
        &["reserved", "short_string", "short_string", "bit", "bit", "bit", "bit", "table"],
    ),
    (0x003c0015, "basic.consume-ok", false, &["short_string"]),
    (0x003c001e, "basic.cancel", false, &["short_string", "bit"]),
    (0x003c001f, "basic.cancel-ok", false, &["short_string"]),
    (0x003c0028, "basic.publish", true, &["reserved", "short_string", "short_string", "bit", "bit"]),
    (0x003c0032, "basic.return", true, &["u16", "short_string", "short_string", "short_string"]),
    (0x003c003c, "basic.deliver", true, &["short_string", "u64", "bit", "short_string", "short_string"]),
    (0x003c0046, "basic.get", false, &["reserved", "short_string", "bit"]),
    (0x003c0047, "basic.get-ok", true, &["u64", "bit", "short_string", "short_string", "u32"]),
    (0x003c0048, "basic.get-empty", false, &["short_string"]),
    (0x003c0050, "basic.ack", false, &["u64", "bit"]),
    (0x003c005a, "basic.reject", false, &["u64", "bit"]),
    (0x003c0064, "basic.recover-async", false, &["bit"]),
    (0x003c006e, "basic.recover", false, &["bit"]),
    (0x003c006f, "basic.recover-ok", false, &[]),
    (0x003c0078, "basic.nack", false, &["u64", "bit", "bit"]),
    (0x000a000a, "connection.start", false, &["u8", "u8", "table", "long_string", "long_string"]),
    (0x000a000b, "connection.start-ok", false, &["table", "short_string", "long_string", "short_string"]),
    (0x000a0014, "connection.secure", false, &["long_string"]),
    (0x000a0015, "connection.secure-ok", false, &["long_string"]),
    (0x000a001e, "connection.tune", false, &["u16", "u32", "u16"]),
    (0x000a001f, "connection.tune-ok", false, &["u16", "u32", "u16"]),
    (0x000a0028, "connection.open", false, &["short_string", "short_string", "bit"]),
    (0x000a0029, "connection.open-ok", false, &["short_string"]),
    (0x000a0032, "connection.close", false, &["u16", "short_string", "u16", "u16"]),
    (0x000a0033, "connection.close-ok", false, &[]),
    (0x000a003c, "connection.blocked", false, &["short_string"]),
    (0x000a003d, "connection.unblocked", false, &[]),
    (0x000a0046, "connection.update-secret", false, &["long_string", "short_string"]),
    (0x000a0047, "connection.update-secret-ok", false, &[]),
    (0x0014000a, "channel.open", false, &["short_string"]),
    (0x0014000b, "channel.open-ok", false, &["long_string"]),
    (0x00140014, "channel.flow", false, &["bit"]),
    (0x00140015, "channel.flow-ok", false, &["bit"]),
    (0x00140028, "channel.close", false, &["u16", "short_string", "u16", "u16"]),
    (0x00140029, "channel.close-ok", false, &[]),
    (0x001e000a, "access.request", false, &["short_string", "bit", "bit", "bit", "bit", "bit"]),
    (0x001e000b, "access.request-ok", false, &["u16"]),
    (
        0x0028000a,
        "exchange.declare",
        false,
        &["reserved", "short_string", "short_string", "bit", "bit", "bit", "bit", "bit", "table"],
    ),
    (0x0028000b, "exchange.declare-ok", false, &[]),
    (0x00280014, "exchange.delete", false, &["reserved", "short_string", "bit", "bit"]),
    (0x00280015, "exchange.delete-ok", false, &[]),
    (
        0x0028001e,
        "exchange.bind",
        false,
        &["reserved", "short_string", "short_string", "short_string", "bit", "table"],
    ),
    (0x0028001f, "exchange.bind-ok", false, &[]),
    (
        0x00280028,
        "exchange.unbind",
        false,
        &["reserved", "short_string", "short_string", "short_string", "bit", "table"],
    ),
    (0x00280033, "exchange.unbind-ok", false, &[]),
    (
        0x0032000a,
        "queue.declare",
        false,
        &["reserved", "short_string", "bit", "bit", "bit", "bit", "bit", "table"],
    ),
    (0x0032000b, "queue.declare-ok", false, &["short_string", "u32", "u32"]),
    (
        0x00320014,
        "queue.bind",
        false,
        &["reserved", "short_string", "short_string", "short_string", "bit", "table"],
    ),
    (0x00320015, "queue.bind-ok", false, &[]),
    (0x0032001e, "queue.purge", false, &["reserved", "short_string", "bit"]),
    (0x0032001f, "queue.purge-ok", false, &["u32"]),
    (0x00320028, "queue.delete", false, &["reserved", "short_string", "bit", "bit", "bit"]),
    (0x00320029, "queue.delete-ok", false, &["u32"]),
    (
        0x00320032,
        "queue.unbind",
        false,
        &["reserved", "short_string", "short_string", "short_string", "table"],
    ),
    (0x00320033, "queue.unbind-ok", false, &[]),
    (0x005a000a, "tx.select", false, &[]),
    (0x005a000b, "tx.select-ok", false, &[]),
    (0x005a0014, "tx.commit", false, &[]),
    (0x005a0015, "tx.commit-ok", false, &[]),
    (0x005a001e, "tx.rollback", false, &[]),
    (0x005a001f, "tx.rollback-ok", false, &[]),
    (0x0055000a, "confirm.select", false, &["bit"]),
    (0x0055000b, "confirm.select-ok", false, &[]),
];
/// Any method.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// `basic.qos`
    BasicQos(basic::Qos),
    /// `basic.qos-ok`
    BasicQosOk(basic::QosOk),
    /// `basic.consume`
    BasicConsume(basic::Consume),
    /// `basic.consume-ok`
    BasicConsumeOk(basic::ConsumeOk),
    /// `basic.cancel`
    BasicCancel(basic::Cancel),
    /// `basic.cancel-ok`
    BasicCancelOk(basic::CancelOk),
    /// `basic.publish`
    BasicPublish(basic::Publish),
    /// `basic.return`
    BasicReturn(basic::Return),
    /// `basic.deliver`
    BasicDeliver(basic::Deliver),
    /// `basic.get`
    BasicGet(basic::Get),
    /// `basic.get-ok`
    BasicGetOk(basic::GetOk),
    /// `basic.get-empty`
    BasicGetEmpty(basic::GetEmpty),
    /// `basic.ack`
    BasicAck(basic::Ack),
    /// `basic.reject`
    BasicReject(basic::Reject),
    /// `basic.recover-async`
    BasicRecoverAsync(basic::RecoverAsync),
    /// `basic.recover`
    BasicRecover(basic::Recover),
    /// `basic.recover-ok`
    BasicRecoverOk(basic::RecoverOk),
    /// `basic.nack`
    BasicNack(basic::Nack),
    /// `connection.start`
    ConnectionStart(connection::Start),
    /// `connection.start-ok`
    ConnectionStartOk(connection::StartOk),
    /// `connection.secure`
    ConnectionSecure(connection::Secure),
    /// `connection.secure-ok`
    ConnectionSecureOk(connection::SecureOk),
    /// `connection.tune`
    ConnectionTune(connection::Tune),
    /// `connection.tune-ok`
    ConnectionTuneOk(connection::TuneOk),
    /// `connection.open`
    ConnectionOpen(connection::Open),
    /// `connection.open-ok`
    ConnectionOpenOk(connection::OpenOk),
    /// `connection.close`
    ConnectionClose(connection::Close),
    /// `connection.close-ok`
    ConnectionCloseOk(connection::CloseOk),
    /// `connection.blocked`
    ConnectionBlocked(connection::Blocked),
    /// `connection.unblocked`
    ConnectionUnblocked(connection::Unblocked),
    /// `connection.update-secret`
    ConnectionUpdateSecret(connection::UpdateSecret),
    /// `connection.update-secret-ok`
    ConnectionUpdateSecretOk(connection::UpdateSecretOk),
    /// `channel.open`
    ChannelOpen(channel::Open),
    /// `channel.open-ok`
    ChannelOpenOk(channel::OpenOk),
    /// `channel.flow`
    ChannelFlow(channel::Flow),
    /// `channel.flow-ok`
    ChannelFlowOk(channel::FlowOk),
    /// `channel.close`
    ChannelClose(channel::Close),
    /// `channel.close-ok`
    ChannelCloseOk(channel::CloseOk),
    /// `access.request`
    AccessRequest(access::Request),
    /// `access.request-ok`
    AccessRequestOk(access::RequestOk),
    /// `exchange.declare`
    ExchangeDeclare(exchange::Declare),
    /// `exchange.declare-ok`
    ExchangeDeclareOk(exchange::DeclareOk),
    /// `exchange.delete`
    ExchangeDelete(exchange::Delete),
    /// `exchange.delete-ok`
    ExchangeDeleteOk(exchange::DeleteOk),
    /// `exchange.bind`
    ExchangeBind(exchange::Bind),
    /// `exchange.bind-ok`
    ExchangeBindOk(exchange::BindOk),
    /// `exchange.unbind`
    ExchangeUnbind(exchange::Unbind),
    /// `exchange.unbind-ok`
    ExchangeUnbindOk(exchange::UnbindOk),
    /// `queue.declare`
    QueueDeclare(queue::Declare),
    /// `queue.declare-ok`
    QueueDeclareOk(queue::DeclareOk),
    /// `queue.bind`
    QueueBind(queue::Bind),
    /// `queue.bind-ok`
    QueueBindOk(queue::BindOk),
    /// `queue.purge`
    QueuePurge(queue::Purge),
    /// `queue.purge-ok`
    QueuePurgeOk(queue::PurgeOk),
    /// `queue.delete`
    QueueDelete(queue::Delete),
    /// `queue.delete-ok`
    QueueDeleteOk(queue::DeleteOk),
    /// `queue.unbind`
    QueueUnbind(queue::Unbind),
    /// `queue.unbind-ok`
    QueueUnbindOk(queue::UnbindOk),
    /// `tx.select`
    TxSelect(tx::Select),
    /// `tx.select-ok`
    TxSelectOk(tx::SelectOk),
    /// `tx.commit`
    TxCommit(tx::Commit),
    /// `tx.commit-ok`
    TxCommitOk(tx::CommitOk),
    /// `tx.rollback`
    TxRollback(tx::Rollback),
    /// `tx.rollback-ok`
    TxRollbackOk(tx::RollbackOk),
    /// `confirm.select`
    ConfirmSelect(confirm::Select),
    /// `confirm.select-ok`
    ConfirmSelectOk(confirm::SelectOk),
}

impl Method {
    /// Reads the payload of a method frame.
    ///
    /// # Errors
    /// `UnknownMethod`, or a field is malformed, or bytes are left over.
    pub fn decode(payload: &[u8]) -> Result<Method, DecodeError> {
        let mut reader = Reader(payload);
        let id = reader.u32()?;
        let method = match id {
            basic::Qos::ID => Method::BasicQos(basic::Qos::read(&mut reader)?),
            basic::QosOk::ID => Method::BasicQosOk(basic::QosOk::read(&mut reader)?),
            basic::Consume::ID => Method::BasicConsume(basic::Consume::read(&mut reader)?),
            basic::ConsumeOk::ID => Method::BasicConsumeOk(basic::ConsumeOk::read(&mut reader)?),
            basic::Cancel::ID => Method::BasicCancel(basic::Cancel::read(&mut reader)?),
            basic::CancelOk::ID => Method::BasicCancelOk(basic::CancelOk::read(&mut reader)?),
            basic::Publish::ID => Method::BasicPublish(basic::Publish::read(&mut reader)?),
            basic::Return::ID => Method::BasicReturn(basic::Return::read(&mut reader)?),
            basic::Deliver::ID => Method::BasicDeliver(basic::Deliver::read(&mut reader)?),
            basic::Get::ID => Method::BasicGet(basic::Get::read(&mut reader)?),
            basic::GetOk::ID => Method::BasicGetOk(basic::GetOk::read(&mut reader)?),
            basic::GetEmpty::ID => Method::BasicGetEmpty(basic::GetEmpty::read(&mut reader)?),
            basic::Ack::ID => Method::BasicAck(basic::Ack::read(&mut reader)?),
            basic::Reject::ID => Method::BasicReject(basic::Reject::read(&mut reader)?),
            basic::RecoverAsync::ID => Method::BasicRecoverAsync(basic::RecoverAsync::read(&mut reader)?),
            basic::Recover::ID => Method::BasicRecover(basic::Recover::read(&mut reader)?),
            basic::RecoverOk::ID => Method::BasicRecoverOk(basic::RecoverOk::read(&mut reader)?),
            basic::Nack::ID => Method::BasicNack(basic::Nack::read(&mut reader)?),
            connection::Start::ID => Method::ConnectionStart(connection::Start::read(&mut reader)?),
            connection::StartOk::ID => Method::ConnectionStartOk(connection::StartOk::read(&mut reader)?),
            connection::Secure::ID => Method::ConnectionSecure(connection::Secure::read(&mut reader)?),
            connection::SecureOk::ID => Method::ConnectionSecureOk(connection::SecureOk::read(&mut reader)?),
            connection::Tune::ID => Method::ConnectionTune(connection::Tune::read(&mut reader)?),
            connection::TuneOk::ID => Method::ConnectionTuneOk(connection::TuneOk::read(&mut reader)?),
            connection::Open::ID => Method::ConnectionOpen(connection::Open::read(&mut reader)?),
            connection::OpenOk::ID => Method::ConnectionOpenOk(connection::OpenOk::read(&mut reader)?),
            connection::Close::ID => Method::ConnectionClose(connection::Close::read(&mut reader)?),
            connection::CloseOk::ID => Method::ConnectionCloseOk(connection::CloseOk::read(&mut reader)?),
            connection::Blocked::ID => Method::ConnectionBlocked(connection::Blocked::read(&mut reader)?),
            connection::Unblocked::ID => {
                Method::ConnectionUnblocked(connection::Unblocked::read(&mut reader)?)
            }
            connection::UpdateSecret::ID => {
                Method::ConnectionUpdateSecret(connection::UpdateSecret::read(&mut reader)?)
            }
            connection::UpdateSecretOk::ID => {
                Method::ConnectionUpdateSecretOk(connection::UpdateSecretOk::read(&mut reader)?)
            }
            channel::Open::ID => Method::ChannelOpen(channel::Open::read(&mut reader)?),
            channel::OpenOk::ID => Method::ChannelOpenOk(channel::OpenOk::read(&mut reader)?),
            channel::Flow::ID => Method::ChannelFlow(channel::Flow::read(&mut reader)?),
            channel::FlowOk::ID => Method::ChannelFlowOk(channel::FlowOk::read(&mut reader)?),
            channel::Close::ID => Method::ChannelClose(channel::Close::read(&mut reader)?),
            channel::CloseOk::ID => Method::ChannelCloseOk(channel::CloseOk::read(&mut reader)?),
            access::Request::ID => Method::AccessRequest(access::Request::read(&mut reader)?),
            access::RequestOk::ID => Method::AccessRequestOk(access::RequestOk::read(&mut reader)?),
            exchange::Declare::ID => Method::ExchangeDeclare(exchange::Declare::read(&mut reader)?),
            exchange::DeclareOk::ID => Method::ExchangeDeclareOk(exchange::DeclareOk::read(&mut reader)?),
            exchange::Delete::ID => Method::ExchangeDelete(exchange::Delete::read(&mut reader)?),
            exchange::DeleteOk::ID => Method::ExchangeDeleteOk(exchange::DeleteOk::read(&mut reader)?),
            exchange::Bind::ID => Method::ExchangeBind(exchange::Bind::read(&mut reader)?),
            exchange::BindOk::ID => Method::ExchangeBindOk(exchange::BindOk::read(&mut reader)?),
            exchange::Unbind::ID => Method::ExchangeUnbind(exchange::Unbind::read(&mut reader)?),
            exchange::UnbindOk::ID => Method::ExchangeUnbindOk(exchange::UnbindOk::read(&mut reader)?),
            queue::Declare::ID => Method::QueueDeclare(queue::Declare::read(&mut reader)?),
            queue::DeclareOk::ID => Method::QueueDeclareOk(queue::DeclareOk::read(&mut reader)?),
            queue::Bind::ID => Method::QueueBind(queue::Bind::read(&mut reader)?),
            queue::BindOk::ID => Method::QueueBindOk(queue::BindOk::read(&mut reader)?),
            queue::Purge::ID => Method::QueuePurge(queue::Purge::read(&mut reader)?),
            queue::PurgeOk::ID => Method::QueuePurgeOk(queue::PurgeOk::read(&mut reader)?),
            queue::Delete::ID => Method::QueueDelete(queue::Delete::read(&mut reader)?),
            queue::DeleteOk::ID => Method::QueueDeleteOk(queue::DeleteOk::read(&mut reader)?),
            queue::Unbind::ID => Method::QueueUnbind(queue::Unbind::read(&mut reader)?),
            queue::UnbindOk::ID => Method::QueueUnbindOk(queue::UnbindOk::read(&mut reader)?),
            tx::Select::ID => Method::TxSelect(tx::Select::read(&mut reader)?),
            tx::SelectOk::ID => Method::TxSelectOk(tx::SelectOk::read(&mut reader)?),
            tx::Commit::ID => Method::TxCommit(tx::Commit::read(&mut reader)?),
            tx::CommitOk::ID => Method::TxCommitOk(tx::CommitOk::read(&mut reader)?),
            tx::Rollback::ID => Method::TxRollback(tx::Rollback::read(&mut reader)?),
            tx::RollbackOk::ID => Method::TxRollbackOk(tx::RollbackOk::read(&mut reader)?),
            confirm::Select::ID => Method::ConfirmSelect(confirm::Select::read(&mut reader)?),
            confirm::SelectOk::ID => Method::ConfirmSelectOk(confirm::SelectOk::read(&mut reader)?),
            _ => return Err(DecodeError::UnknownMethod { class: (id >> 16) as u16, method: id as u16 }),
        };
        reader.finish().map(|()| method)
    }

    /// Writes a whole method frame. It is the caller's affair that it does not exceed the negotiated
    /// frame-max: a method cannot be split.
    pub fn encode(&self, channel: u16, out: &mut impl Output) {
        out.reserve(FRAME_OVERHEAD + 64);
        out.put(&[FRAME_METHOD]);
        out.put(&channel.to_be_bytes());
        put_sized(out, |out| {
            out.put(&self.number().to_be_bytes());
            match self {
                Method::BasicQos(method) => method.write(out),
                Method::BasicQosOk(method) => method.write(out),
                Method::BasicConsume(method) => method.write(out),
                Method::BasicConsumeOk(method) => method.write(out),
                Method::BasicCancel(method) => method.write(out),
                Method::BasicCancelOk(method) => method.write(out),
                Method::BasicPublish(method) => method.write(out),
                Method::BasicReturn(method) => method.write(out),
                Method::BasicDeliver(method) => method.write(out),
                Method::BasicGet(method) => method.write(out),
                Method::BasicGetOk(method) => method.write(out),
                Method::BasicGetEmpty(method) => method.write(out),
                Method::BasicAck(method) => method.write(out),
                Method::BasicReject(method) => method.write(out),
                Method::BasicRecoverAsync(method) => method.write(out),
                Method::BasicRecover(method) => method.write(out),
                Method::BasicRecoverOk(method) => method.write(out),
                Method::BasicNack(method) => method.write(out),
                Method::ConnectionStart(method) => method.write(out),
                Method::ConnectionStartOk(method) => method.write(out),
                Method::ConnectionSecure(method) => method.write(out),
                Method::ConnectionSecureOk(method) => method.write(out),
                Method::ConnectionTune(method) => method.write(out),
                Method::ConnectionTuneOk(method) => method.write(out),
                Method::ConnectionOpen(method) => method.write(out),
                Method::ConnectionOpenOk(method) => method.write(out),
                Method::ConnectionClose(method) => method.write(out),
                Method::ConnectionCloseOk(method) => method.write(out),
                Method::ConnectionBlocked(method) => method.write(out),
                Method::ConnectionUnblocked(method) => method.write(out),
                Method::ConnectionUpdateSecret(method) => method.write(out),
                Method::ConnectionUpdateSecretOk(method) => method.write(out),
                Method::ChannelOpen(method) => method.write(out),
                Method::ChannelOpenOk(method) => method.write(out),
                Method::ChannelFlow(method) => method.write(out),
                Method::ChannelFlowOk(method) => method.write(out),
                Method::ChannelClose(method) => method.write(out),
                Method::ChannelCloseOk(method) => method.write(out),
                Method::AccessRequest(method) => method.write(out),
                Method::AccessRequestOk(method) => method.write(out),
                Method::ExchangeDeclare(method) => method.write(out),
                Method::ExchangeDeclareOk(method) => method.write(out),
                Method::ExchangeDelete(method) => method.write(out),
                Method::ExchangeDeleteOk(method) => method.write(out),
                Method::ExchangeBind(method) => method.write(out),
                Method::ExchangeBindOk(method) => method.write(out),
                Method::ExchangeUnbind(method) => method.write(out),
                Method::ExchangeUnbindOk(method) => method.write(out),
                Method::QueueDeclare(method) => method.write(out),
                Method::QueueDeclareOk(method) => method.write(out),
                Method::QueueBind(method) => method.write(out),
                Method::QueueBindOk(method) => method.write(out),
                Method::QueuePurge(method) => method.write(out),
                Method::QueuePurgeOk(method) => method.write(out),
                Method::QueueDelete(method) => method.write(out),
                Method::QueueDeleteOk(method) => method.write(out),
                Method::QueueUnbind(method) => method.write(out),
                Method::QueueUnbindOk(method) => method.write(out),
                Method::TxSelect(method) => method.write(out),
                Method::TxSelectOk(method) => method.write(out),
                Method::TxCommit(method) => method.write(out),
                Method::TxCommitOk(method) => method.write(out),
                Method::TxRollback(method) => method.write(out),
                Method::TxRollbackOk(method) => method.write(out),
                Method::ConfirmSelect(method) => method.write(out),
                Method::ConfirmSelectOk(method) => method.write(out),
            }
        });
        out.put(&[FRAME_END]);
    }

    /// Class id and method id.
    pub fn id(&self) -> (u16, u16) {
        let number = self.number();
        ((number >> 16) as u16, number as u16)
    }

    /// Class and method id in one number, as [`method_id`](super::method_id) reads it.
    pub fn number(&self) -> u32 {
        match self {
            Method::BasicQos(_) => basic::Qos::ID,
            Method::BasicQosOk(_) => basic::QosOk::ID,
            Method::BasicConsume(_) => basic::Consume::ID,
            Method::BasicConsumeOk(_) => basic::ConsumeOk::ID,
            Method::BasicCancel(_) => basic::Cancel::ID,
            Method::BasicCancelOk(_) => basic::CancelOk::ID,
            Method::BasicPublish(_) => basic::Publish::ID,
            Method::BasicReturn(_) => basic::Return::ID,
            Method::BasicDeliver(_) => basic::Deliver::ID,
            Method::BasicGet(_) => basic::Get::ID,
            Method::BasicGetOk(_) => basic::GetOk::ID,
            Method::BasicGetEmpty(_) => basic::GetEmpty::ID,
            Method::BasicAck(_) => basic::Ack::ID,
            Method::BasicReject(_) => basic::Reject::ID,
            Method::BasicRecoverAsync(_) => basic::RecoverAsync::ID,
            Method::BasicRecover(_) => basic::Recover::ID,
            Method::BasicRecoverOk(_) => basic::RecoverOk::ID,
            Method::BasicNack(_) => basic::Nack::ID,
            Method::ConnectionStart(_) => connection::Start::ID,
            Method::ConnectionStartOk(_) => connection::StartOk::ID,
            Method::ConnectionSecure(_) => connection::Secure::ID,
            Method::ConnectionSecureOk(_) => connection::SecureOk::ID,
            Method::ConnectionTune(_) => connection::Tune::ID,
            Method::ConnectionTuneOk(_) => connection::TuneOk::ID,
            Method::ConnectionOpen(_) => connection::Open::ID,
            Method::ConnectionOpenOk(_) => connection::OpenOk::ID,
            Method::ConnectionClose(_) => connection::Close::ID,
            Method::ConnectionCloseOk(_) => connection::CloseOk::ID,
            Method::ConnectionBlocked(_) => connection::Blocked::ID,
            Method::ConnectionUnblocked(_) => connection::Unblocked::ID,
            Method::ConnectionUpdateSecret(_) => connection::UpdateSecret::ID,
            Method::ConnectionUpdateSecretOk(_) => connection::UpdateSecretOk::ID,
            Method::ChannelOpen(_) => channel::Open::ID,
            Method::ChannelOpenOk(_) => channel::OpenOk::ID,
            Method::ChannelFlow(_) => channel::Flow::ID,
            Method::ChannelFlowOk(_) => channel::FlowOk::ID,
            Method::ChannelClose(_) => channel::Close::ID,
            Method::ChannelCloseOk(_) => channel::CloseOk::ID,
            Method::AccessRequest(_) => access::Request::ID,
            Method::AccessRequestOk(_) => access::RequestOk::ID,
            Method::ExchangeDeclare(_) => exchange::Declare::ID,
            Method::ExchangeDeclareOk(_) => exchange::DeclareOk::ID,
            Method::ExchangeDelete(_) => exchange::Delete::ID,
            Method::ExchangeDeleteOk(_) => exchange::DeleteOk::ID,
            Method::ExchangeBind(_) => exchange::Bind::ID,
            Method::ExchangeBindOk(_) => exchange::BindOk::ID,
            Method::ExchangeUnbind(_) => exchange::Unbind::ID,
            Method::ExchangeUnbindOk(_) => exchange::UnbindOk::ID,
            Method::QueueDeclare(_) => queue::Declare::ID,
            Method::QueueDeclareOk(_) => queue::DeclareOk::ID,
            Method::QueueBind(_) => queue::Bind::ID,
            Method::QueueBindOk(_) => queue::BindOk::ID,
            Method::QueuePurge(_) => queue::Purge::ID,
            Method::QueuePurgeOk(_) => queue::PurgeOk::ID,
            Method::QueueDelete(_) => queue::Delete::ID,
            Method::QueueDeleteOk(_) => queue::DeleteOk::ID,
            Method::QueueUnbind(_) => queue::Unbind::ID,
            Method::QueueUnbindOk(_) => queue::UnbindOk::ID,
            Method::TxSelect(_) => tx::Select::ID,
            Method::TxSelectOk(_) => tx::SelectOk::ID,
            Method::TxCommit(_) => tx::Commit::ID,
            Method::TxCommitOk(_) => tx::CommitOk::ID,
            Method::TxRollback(_) => tx::Rollback::ID,
            Method::TxRollbackOk(_) => tx::RollbackOk::ID,
            Method::ConfirmSelect(_) => confirm::Select::ID,
            Method::ConfirmSelectOk(_) => confirm::SelectOk::ID,
        }
    }

    /// The spec's name: `queue.declare`.
    pub fn name(&self) -> &'static str {
        match self {
            Method::BasicQos(_) => basic::Qos::NAME,
            Method::BasicQosOk(_) => basic::QosOk::NAME,
            Method::BasicConsume(_) => basic::Consume::NAME,
            Method::BasicConsumeOk(_) => basic::ConsumeOk::NAME,
            Method::BasicCancel(_) => basic::Cancel::NAME,
            Method::BasicCancelOk(_) => basic::CancelOk::NAME,
            Method::BasicPublish(_) => basic::Publish::NAME,
            Method::BasicReturn(_) => basic::Return::NAME,
            Method::BasicDeliver(_) => basic::Deliver::NAME,
            Method::BasicGet(_) => basic::Get::NAME,
            Method::BasicGetOk(_) => basic::GetOk::NAME,
            Method::BasicGetEmpty(_) => basic::GetEmpty::NAME,
            Method::BasicAck(_) => basic::Ack::NAME,
            Method::BasicReject(_) => basic::Reject::NAME,
            Method::BasicRecoverAsync(_) => basic::RecoverAsync::NAME,
            Method::BasicRecover(_) => basic::Recover::NAME,
            Method::BasicRecoverOk(_) => basic::RecoverOk::NAME,
            Method::BasicNack(_) => basic::Nack::NAME,
            Method::ConnectionStart(_) => connection::Start::NAME,
            Method::ConnectionStartOk(_) => connection::StartOk::NAME,
            Method::ConnectionSecure(_) => connection::Secure::NAME,
            Method::ConnectionSecureOk(_) => connection::SecureOk::NAME,
            Method::ConnectionTune(_) => connection::Tune::NAME,
            Method::ConnectionTuneOk(_) => connection::TuneOk::NAME,
            Method::ConnectionOpen(_) => connection::Open::NAME,
            Method::ConnectionOpenOk(_) => connection::OpenOk::NAME,
            Method::ConnectionClose(_) => connection::Close::NAME,
            Method::ConnectionCloseOk(_) => connection::CloseOk::NAME,
            Method::ConnectionBlocked(_) => connection::Blocked::NAME,
            Method::ConnectionUnblocked(_) => connection::Unblocked::NAME,
            Method::ConnectionUpdateSecret(_) => connection::UpdateSecret::NAME,
            Method::ConnectionUpdateSecretOk(_) => connection::UpdateSecretOk::NAME,
            Method::ChannelOpen(_) => channel::Open::NAME,
            Method::ChannelOpenOk(_) => channel::OpenOk::NAME,
            Method::ChannelFlow(_) => channel::Flow::NAME,
            Method::ChannelFlowOk(_) => channel::FlowOk::NAME,
            Method::ChannelClose(_) => channel::Close::NAME,
            Method::ChannelCloseOk(_) => channel::CloseOk::NAME,
            Method::AccessRequest(_) => access::Request::NAME,
            Method::AccessRequestOk(_) => access::RequestOk::NAME,
            Method::ExchangeDeclare(_) => exchange::Declare::NAME,
            Method::ExchangeDeclareOk(_) => exchange::DeclareOk::NAME,
            Method::ExchangeDelete(_) => exchange::Delete::NAME,
            Method::ExchangeDeleteOk(_) => exchange::DeleteOk::NAME,
            Method::ExchangeBind(_) => exchange::Bind::NAME,
            Method::ExchangeBindOk(_) => exchange::BindOk::NAME,
            Method::ExchangeUnbind(_) => exchange::Unbind::NAME,
            Method::ExchangeUnbindOk(_) => exchange::UnbindOk::NAME,
            Method::QueueDeclare(_) => queue::Declare::NAME,
            Method::QueueDeclareOk(_) => queue::DeclareOk::NAME,
            Method::QueueBind(_) => queue::Bind::NAME,
            Method::QueueBindOk(_) => queue::BindOk::NAME,
            Method::QueuePurge(_) => queue::Purge::NAME,
            Method::QueuePurgeOk(_) => queue::PurgeOk::NAME,
            Method::QueueDelete(_) => queue::Delete::NAME,
            Method::QueueDeleteOk(_) => queue::DeleteOk::NAME,
            Method::QueueUnbind(_) => queue::Unbind::NAME,
            Method::QueueUnbindOk(_) => queue::UnbindOk::NAME,
            Method::TxSelect(_) => tx::Select::NAME,
            Method::TxSelectOk(_) => tx::SelectOk::NAME,
            Method::TxCommit(_) => tx::Commit::NAME,
            Method::TxCommitOk(_) => tx::CommitOk::NAME,
            Method::TxRollback(_) => tx::Rollback::NAME,
            Method::TxRollbackOk(_) => tx::RollbackOk::NAME,
            Method::ConfirmSelect(_) => confirm::Select::NAME,
            Method::ConfirmSelectOk(_) => confirm::SelectOk::NAME,
        }
    }

    /// Whether content header and body follow.
    pub fn has_content(&self) -> bool {
        match self {
            Method::BasicQos(_) => basic::Qos::HAS_CONTENT,
            Method::BasicQosOk(_) => basic::QosOk::HAS_CONTENT,
            Method::BasicConsume(_) => basic::Consume::HAS_CONTENT,
            Method::BasicConsumeOk(_) => basic::ConsumeOk::HAS_CONTENT,
            Method::BasicCancel(_) => basic::Cancel::HAS_CONTENT,
            Method::BasicCancelOk(_) => basic::CancelOk::HAS_CONTENT,
            Method::BasicPublish(_) => basic::Publish::HAS_CONTENT,
            Method::BasicReturn(_) => basic::Return::HAS_CONTENT,
            Method::BasicDeliver(_) => basic::Deliver::HAS_CONTENT,
            Method::BasicGet(_) => basic::Get::HAS_CONTENT,
            Method::BasicGetOk(_) => basic::GetOk::HAS_CONTENT,
            Method::BasicGetEmpty(_) => basic::GetEmpty::HAS_CONTENT,
            Method::BasicAck(_) => basic::Ack::HAS_CONTENT,
            Method::BasicReject(_) => basic::Reject::HAS_CONTENT,
            Method::BasicRecoverAsync(_) => basic::RecoverAsync::HAS_CONTENT,
            Method::BasicRecover(_) => basic::Recover::HAS_CONTENT,
            Method::BasicRecoverOk(_) => basic::RecoverOk::HAS_CONTENT,
            Method::BasicNack(_) => basic::Nack::HAS_CONTENT,
            Method::ConnectionStart(_) => connection::Start::HAS_CONTENT,
            Method::ConnectionStartOk(_) => connection::StartOk::HAS_CONTENT,
            Method::ConnectionSecure(_) => connection::Secure::HAS_CONTENT,
            Method::ConnectionSecureOk(_) => connection::SecureOk::HAS_CONTENT,
            Method::ConnectionTune(_) => connection::Tune::HAS_CONTENT,
            Method::ConnectionTuneOk(_) => connection::TuneOk::HAS_CONTENT,
            Method::ConnectionOpen(_) => connection::Open::HAS_CONTENT,
            Method::ConnectionOpenOk(_) => connection::OpenOk::HAS_CONTENT,
            Method::ConnectionClose(_) => connection::Close::HAS_CONTENT,
            Method::ConnectionCloseOk(_) => connection::CloseOk::HAS_CONTENT,
            Method::ConnectionBlocked(_) => connection::Blocked::HAS_CONTENT,
            Method::ConnectionUnblocked(_) => connection::Unblocked::HAS_CONTENT,
            Method::ConnectionUpdateSecret(_) => connection::UpdateSecret::HAS_CONTENT,
            Method::ConnectionUpdateSecretOk(_) => connection::UpdateSecretOk::HAS_CONTENT,
            Method::ChannelOpen(_) => channel::Open::HAS_CONTENT,
            Method::ChannelOpenOk(_) => channel::OpenOk::HAS_CONTENT,
            Method::ChannelFlow(_) => channel::Flow::HAS_CONTENT,
            Method::ChannelFlowOk(_) => channel::FlowOk::HAS_CONTENT,
            Method::ChannelClose(_) => channel::Close::HAS_CONTENT,
            Method::ChannelCloseOk(_) => channel::CloseOk::HAS_CONTENT,
            Method::AccessRequest(_) => access::Request::HAS_CONTENT,
            Method::AccessRequestOk(_) => access::RequestOk::HAS_CONTENT,
            Method::ExchangeDeclare(_) => exchange::Declare::HAS_CONTENT,
            Method::ExchangeDeclareOk(_) => exchange::DeclareOk::HAS_CONTENT,
            Method::ExchangeDelete(_) => exchange::Delete::HAS_CONTENT,
            Method::ExchangeDeleteOk(_) => exchange::DeleteOk::HAS_CONTENT,
            Method::ExchangeBind(_) => exchange::Bind::HAS_CONTENT,
            Method::ExchangeBindOk(_) => exchange::BindOk::HAS_CONTENT,
            Method::ExchangeUnbind(_) => exchange::Unbind::HAS_CONTENT,
            Method::ExchangeUnbindOk(_) => exchange::UnbindOk::HAS_CONTENT,
            Method::QueueDeclare(_) => queue::Declare::HAS_CONTENT,
            Method::QueueDeclareOk(_) => queue::DeclareOk::HAS_CONTENT,
            Method::QueueBind(_) => queue::Bind::HAS_CONTENT,
            Method::QueueBindOk(_) => queue::BindOk::HAS_CONTENT,
            Method::QueuePurge(_) => queue::Purge::HAS_CONTENT,
            Method::QueuePurgeOk(_) => queue::PurgeOk::HAS_CONTENT,
            Method::QueueDelete(_) => queue::Delete::HAS_CONTENT,
            Method::QueueDeleteOk(_) => queue::DeleteOk::HAS_CONTENT,
            Method::QueueUnbind(_) => queue::Unbind::HAS_CONTENT,
            Method::QueueUnbindOk(_) => queue::UnbindOk::HAS_CONTENT,
            Method::TxSelect(_) => tx::Select::HAS_CONTENT,
            Method::TxSelectOk(_) => tx::SelectOk::HAS_CONTENT,
            Method::TxCommit(_) => tx::Commit::HAS_CONTENT,
            Method::TxCommitOk(_) => tx::CommitOk::HAS_CONTENT,
            Method::TxRollback(_) => tx::Rollback::HAS_CONTENT,
            Method::TxRollbackOk(_) => tx::RollbackOk::HAS_CONTENT,
            Method::ConfirmSelect(_) => confirm::Select::HAS_CONTENT,
            Method::ConfirmSelectOk(_) => confirm::SelectOk::HAS_CONTENT,
        }
    }
}

impl From<basic::Qos> for Method {
    fn from(method: basic::Qos) -> Self {
        Method::BasicQos(method)
    }
}

impl From<basic::QosOk> for Method {
    fn from(method: basic::QosOk) -> Self {
        Method::BasicQosOk(method)
    }
}

impl From<basic::Consume> for Method {
    fn from(method: basic::Consume) -> Self {
        Method::BasicConsume(method)
    }
}

impl From<basic::ConsumeOk> for Method {
    fn from(method: basic::ConsumeOk) -> Self {
        Method::BasicConsumeOk(method)
    }
}

impl From<basic::Cancel> for Method {
    fn from(method: basic::Cancel) -> Self {
        Method::BasicCancel(method)
    }
}

impl From<basic::CancelOk> for Method {
    fn from(method: basic::CancelOk) -> Self {
        Method::BasicCancelOk(method)
    }
}

impl From<basic::Publish> for Method {
    fn from(method: basic::Publish) -> Self {
        Method::BasicPublish(method)
    }
}

impl From<basic::Return> for Method {
    fn from(method: basic::Return) -> Self {
        Method::BasicReturn(method)
    }
}

impl From<basic::Deliver> for Method {
    fn from(method: basic::Deliver) -> Self {
        Method::BasicDeliver(method)
    }
}

impl From<basic::Get> for Method {
    fn from(method: basic::Get) -> Self {
        Method::BasicGet(method)
    }
}

impl From<basic::GetOk> for Method {
    fn from(method: basic::GetOk) -> Self {
        Method::BasicGetOk(method)
    }
}

impl From<basic::GetEmpty> for Method {
    fn from(method: basic::GetEmpty) -> Self {
        Method::BasicGetEmpty(method)
    }
}

impl From<basic::Ack> for Method {
    fn from(method: basic::Ack) -> Self {
        Method::BasicAck(method)
    }
}

impl From<basic::Reject> for Method {
    fn from(method: basic::Reject) -> Self {
        Method::BasicReject(method)
    }
}

impl From<basic::RecoverAsync> for Method {
    fn from(method: basic::RecoverAsync) -> Self {
        Method::BasicRecoverAsync(method)
    }
}

impl From<basic::Recover> for Method {
    fn from(method: basic::Recover) -> Self {
        Method::BasicRecover(method)
    }
}

impl From<basic::RecoverOk> for Method {
    fn from(method: basic::RecoverOk) -> Self {
        Method::BasicRecoverOk(method)
    }
}

impl From<basic::Nack> for Method {
    fn from(method: basic::Nack) -> Self {
        Method::BasicNack(method)
    }
}

impl From<connection::Start> for Method {
    fn from(method: connection::Start) -> Self {
        Method::ConnectionStart(method)
    }
}

impl From<connection::StartOk> for Method {
    fn from(method: connection::StartOk) -> Self {
        Method::ConnectionStartOk(method)
    }
}

impl From<connection::Secure> for Method {
    fn from(method: connection::Secure) -> Self {
        Method::ConnectionSecure(method)
    }
}

impl From<connection::SecureOk> for Method {
    fn from(method: connection::SecureOk) -> Self {
        Method::ConnectionSecureOk(method)
    }
}

impl From<connection::Tune> for Method {
    fn from(method: connection::Tune) -> Self {
        Method::ConnectionTune(method)
    }
}

impl From<connection::TuneOk> for Method {
    fn from(method: connection::TuneOk) -> Self {
        Method::ConnectionTuneOk(method)
    }
}

impl From<connection::Open> for Method {
    fn from(method: connection::Open) -> Self {
        Method::ConnectionOpen(method)
    }
}

impl From<connection::OpenOk> for Method {
    fn from(method: connection::OpenOk) -> Self {
        Method::ConnectionOpenOk(method)
    }
}

impl From<connection::Close> for Method {
    fn from(method: connection::Close) -> Self {
        Method::ConnectionClose(method)
    }
}

impl From<connection::CloseOk> for Method {
    fn from(method: connection::CloseOk) -> Self {
        Method::ConnectionCloseOk(method)
    }
}

impl From<connection::Blocked> for Method {
    fn from(method: connection::Blocked) -> Self {
        Method::ConnectionBlocked(method)
    }
}

impl From<connection::Unblocked> for Method {
    fn from(method: connection::Unblocked) -> Self {
        Method::ConnectionUnblocked(method)
    }
}

impl From<connection::UpdateSecret> for Method {
    fn from(method: connection::UpdateSecret) -> Self {
        Method::ConnectionUpdateSecret(method)
    }
}

impl From<connection::UpdateSecretOk> for Method {
    fn from(method: connection::UpdateSecretOk) -> Self {
        Method::ConnectionUpdateSecretOk(method)
    }
}

impl From<channel::Open> for Method {
    fn from(method: channel::Open) -> Self {
        Method::ChannelOpen(method)
    }
}

impl From<channel::OpenOk> for Method {
    fn from(method: channel::OpenOk) -> Self {
        Method::ChannelOpenOk(method)
    }
}

impl From<channel::Flow> for Method {
    fn from(method: channel::Flow) -> Self {
        Method::ChannelFlow(method)
    }
}

impl From<channel::FlowOk> for Method {
    fn from(method: channel::FlowOk) -> Self {
        Method::ChannelFlowOk(method)
    }
}

impl From<channel::Close> for Method {
    fn from(method: channel::Close) -> Self {
        Method::ChannelClose(method)
    }
}

impl From<channel::CloseOk> for Method {
    fn from(method: channel::CloseOk) -> Self {
        Method::ChannelCloseOk(method)
    }
}

impl From<access::Request> for Method {
    fn from(method: access::Request) -> Self {
        Method::AccessRequest(method)
    }
}

impl From<access::RequestOk> for Method {
    fn from(method: access::RequestOk) -> Self {
        Method::AccessRequestOk(method)
    }
}

impl From<exchange::Declare> for Method {
    fn from(method: exchange::Declare) -> Self {
        Method::ExchangeDeclare(method)
    }
}

impl From<exchange::DeclareOk> for Method {
    fn from(method: exchange::DeclareOk) -> Self {
        Method::ExchangeDeclareOk(method)
    }
}

impl From<exchange::Delete> for Method {
    fn from(method: exchange::Delete) -> Self {
        Method::ExchangeDelete(method)
    }
}

impl From<exchange::DeleteOk> for Method {
    fn from(method: exchange::DeleteOk) -> Self {
        Method::ExchangeDeleteOk(method)
    }
}

impl From<exchange::Bind> for Method {
    fn from(method: exchange::Bind) -> Self {
        Method::ExchangeBind(method)
    }
}

impl From<exchange::BindOk> for Method {
    fn from(method: exchange::BindOk) -> Self {
        Method::ExchangeBindOk(method)
    }
}

impl From<exchange::Unbind> for Method {
    fn from(method: exchange::Unbind) -> Self {
        Method::ExchangeUnbind(method)
    }
}

impl From<exchange::UnbindOk> for Method {
    fn from(method: exchange::UnbindOk) -> Self {
        Method::ExchangeUnbindOk(method)
    }
}

impl From<queue::Declare> for Method {
    fn from(method: queue::Declare) -> Self {
        Method::QueueDeclare(method)
    }
}

impl From<queue::DeclareOk> for Method {
    fn from(method: queue::DeclareOk) -> Self {
        Method::QueueDeclareOk(method)
    }
}

impl From<queue::Bind> for Method {
    fn from(method: queue::Bind) -> Self {
        Method::QueueBind(method)
    }
}

impl From<queue::BindOk> for Method {
    fn from(method: queue::BindOk) -> Self {
        Method::QueueBindOk(method)
    }
}

impl From<queue::Purge> for Method {
    fn from(method: queue::Purge) -> Self {
        Method::QueuePurge(method)
    }
}

impl From<queue::PurgeOk> for Method {
    fn from(method: queue::PurgeOk) -> Self {
        Method::QueuePurgeOk(method)
    }
}

impl From<queue::Delete> for Method {
    fn from(method: queue::Delete) -> Self {
        Method::QueueDelete(method)
    }
}

impl From<queue::DeleteOk> for Method {
    fn from(method: queue::DeleteOk) -> Self {
        Method::QueueDeleteOk(method)
    }
}

impl From<queue::Unbind> for Method {
    fn from(method: queue::Unbind) -> Self {
        Method::QueueUnbind(method)
    }
}

impl From<queue::UnbindOk> for Method {
    fn from(method: queue::UnbindOk) -> Self {
        Method::QueueUnbindOk(method)
    }
}

impl From<tx::Select> for Method {
    fn from(method: tx::Select) -> Self {
        Method::TxSelect(method)
    }
}

impl From<tx::SelectOk> for Method {
    fn from(method: tx::SelectOk) -> Self {
        Method::TxSelectOk(method)
    }
}

impl From<tx::Commit> for Method {
    fn from(method: tx::Commit) -> Self {
        Method::TxCommit(method)
    }
}

impl From<tx::CommitOk> for Method {
    fn from(method: tx::CommitOk) -> Self {
        Method::TxCommitOk(method)
    }
}

impl From<tx::Rollback> for Method {
    fn from(method: tx::Rollback) -> Self {
        Method::TxRollback(method)
    }
}

impl From<tx::RollbackOk> for Method {
    fn from(method: tx::RollbackOk) -> Self {
        Method::TxRollbackOk(method)
    }
}

impl From<confirm::Select> for Method {
    fn from(method: confirm::Select) -> Self {
        Method::ConfirmSelect(method)
    }
}

impl From<confirm::SelectOk> for Method {
    fn from(method: confirm::SelectOk) -> Self {
        Method::ConfirmSelectOk(method)
    }
}

/// The methods of class `basic`.
pub mod basic {
    use super::*;

    /// The id of class `basic`.
    pub const CLASS_ID: u16 = 60;

    /// `basic.qos`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Qos {
        pub prefetch_size: u32,
        pub prefetch_count: u16,
        pub global: bool,
    }

    impl Qos {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 10;
        pub(super) const NAME: &'static str = "basic.qos";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let prefetch_size = reader.u32()?;
            let prefetch_count = reader.u16()?;
            let bits = reader.u8()?;
            let global = bits & 0x01 != 0;
            Ok(Self { prefetch_size, prefetch_count, global })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.prefetch_size, out);
            Put::put(&self.prefetch_count, out);
            out.put(&[u8::from(self.global)]);
        }
    }

    /// `basic.qos-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct QosOk {}

    impl QosOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 11;
        pub(super) const NAME: &'static str = "basic.qos-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `basic.consume`
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Consume {
        pub queue: ShortString,
        pub consumer_tag: ShortString,
        pub no_local: bool,
        pub no_ack: bool,
        pub exclusive: bool,
        pub nowait: bool,
        pub arguments: Table,
    }

    impl Consume {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 20;
        pub(super) const NAME: &'static str = "basic.consume";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let queue = reader.short_string()?;
            let consumer_tag = reader.short_string()?;
            let bits = reader.u8()?;
            let no_local = bits & 0x01 != 0;
            let no_ack = bits & 0x02 != 0;
            let exclusive = bits & 0x04 != 0;
            let nowait = bits & 0x08 != 0;
            let arguments = reader.table()?;
            Ok(Self { queue, consumer_tag, no_local, no_ack, exclusive, nowait, arguments })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.queue, out);
            Put::put(&self.consumer_tag, out);
            out.put(&[u8::from(self.no_local)
                | u8::from(self.no_ack) << 1
                | u8::from(self.exclusive) << 2
                | u8::from(self.nowait) << 3]);
            Put::put(&self.arguments, out);
        }
    }

    /// `basic.consume-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct ConsumeOk {
        pub consumer_tag: ShortString,
    }

    impl ConsumeOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 21;
        pub(super) const NAME: &'static str = "basic.consume-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let consumer_tag = reader.short_string()?;
            Ok(Self { consumer_tag })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.consumer_tag, out);
        }
    }

    /// `basic.cancel`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Cancel {
        pub consumer_tag: ShortString,
        pub nowait: bool,
    }

    impl Cancel {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 30;
        pub(super) const NAME: &'static str = "basic.cancel";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let consumer_tag = reader.short_string()?;
            let bits = reader.u8()?;
            let nowait = bits & 0x01 != 0;
            Ok(Self { consumer_tag, nowait })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.consumer_tag, out);
            out.put(&[u8::from(self.nowait)]);
        }
    }

    /// `basic.cancel-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct CancelOk {
        pub consumer_tag: ShortString,
    }

    impl CancelOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 31;
        pub(super) const NAME: &'static str = "basic.cancel-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let consumer_tag = reader.short_string()?;
            Ok(Self { consumer_tag })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.consumer_tag, out);
        }
    }

    /// `basic.publish`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Publish {
        pub exchange: ShortString,
        pub routing_key: ShortString,
        pub mandatory: bool,
        pub immediate: bool,
    }

    impl Publish {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 40;
        pub(super) const NAME: &'static str = "basic.publish";
        pub(super) const HAS_CONTENT: bool = true;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let exchange = reader.short_string()?;
            let routing_key = reader.short_string()?;
            let bits = reader.u8()?;
            let mandatory = bits & 0x01 != 0;
            let immediate = bits & 0x02 != 0;
            Ok(Self { exchange, routing_key, mandatory, immediate })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.exchange, out);
            Put::put(&self.routing_key, out);
            out.put(&[u8::from(self.mandatory) | u8::from(self.immediate) << 1]);
        }
    }

    /// `basic.return`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Return {
        pub reply_code: u16,
        pub reply_text: ShortString,
        pub exchange: ShortString,
        pub routing_key: ShortString,
    }

    impl Return {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 50;
        pub(super) const NAME: &'static str = "basic.return";
        pub(super) const HAS_CONTENT: bool = true;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let reply_code = reader.u16()?;
            let reply_text = reader.short_string()?;
            let exchange = reader.short_string()?;
            let routing_key = reader.short_string()?;
            Ok(Self { reply_code, reply_text, exchange, routing_key })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.reply_code, out);
            Put::put(&self.reply_text, out);
            Put::put(&self.exchange, out);
            Put::put(&self.routing_key, out);
        }
    }

    /// `basic.deliver`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Deliver {
        pub consumer_tag: ShortString,
        pub delivery_tag: u64,
        pub redelivered: bool,
        pub exchange: ShortString,
        pub routing_key: ShortString,
    }

    impl Deliver {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 60;
        pub(super) const NAME: &'static str = "basic.deliver";
        pub(super) const HAS_CONTENT: bool = true;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let consumer_tag = reader.short_string()?;
            let delivery_tag = reader.u64()?;
            let bits = reader.u8()?;
            let redelivered = bits & 0x01 != 0;
            let exchange = reader.short_string()?;
            let routing_key = reader.short_string()?;
            Ok(Self { consumer_tag, delivery_tag, redelivered, exchange, routing_key })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.consumer_tag, out);
            Put::put(&self.delivery_tag, out);
            out.put(&[u8::from(self.redelivered)]);
            Put::put(&self.exchange, out);
            Put::put(&self.routing_key, out);
        }
    }

    /// `basic.get`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Get {
        pub queue: ShortString,
        pub no_ack: bool,
    }

    impl Get {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 70;
        pub(super) const NAME: &'static str = "basic.get";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let queue = reader.short_string()?;
            let bits = reader.u8()?;
            let no_ack = bits & 0x01 != 0;
            Ok(Self { queue, no_ack })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.queue, out);
            out.put(&[u8::from(self.no_ack)]);
        }
    }

    /// `basic.get-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct GetOk {
        pub delivery_tag: u64,
        pub redelivered: bool,
        pub exchange: ShortString,
        pub routing_key: ShortString,
        pub message_count: u32,
    }

    impl GetOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 71;
        pub(super) const NAME: &'static str = "basic.get-ok";
        pub(super) const HAS_CONTENT: bool = true;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let delivery_tag = reader.u64()?;
            let bits = reader.u8()?;
            let redelivered = bits & 0x01 != 0;
            let exchange = reader.short_string()?;
            let routing_key = reader.short_string()?;
            let message_count = reader.u32()?;
            Ok(Self { delivery_tag, redelivered, exchange, routing_key, message_count })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.delivery_tag, out);
            out.put(&[u8::from(self.redelivered)]);
            Put::put(&self.exchange, out);
            Put::put(&self.routing_key, out);
            Put::put(&self.message_count, out);
        }
    }

    /// `basic.get-empty`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct GetEmpty {
        pub cluster_id: ShortString,
    }

    impl GetEmpty {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 72;
        pub(super) const NAME: &'static str = "basic.get-empty";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let cluster_id = reader.short_string()?;
            Ok(Self { cluster_id })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.cluster_id, out);
        }
    }

    /// `basic.ack`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Ack {
        pub delivery_tag: u64,
        pub multiple: bool,
    }

    impl Ack {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 80;
        pub(super) const NAME: &'static str = "basic.ack";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let delivery_tag = reader.u64()?;
            let bits = reader.u8()?;
            let multiple = bits & 0x01 != 0;
            Ok(Self { delivery_tag, multiple })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.delivery_tag, out);
            out.put(&[u8::from(self.multiple)]);
        }
    }

    /// `basic.reject`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Reject {
        pub delivery_tag: u64,
        pub requeue: bool,
    }

    impl Reject {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 90;
        pub(super) const NAME: &'static str = "basic.reject";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let delivery_tag = reader.u64()?;
            let bits = reader.u8()?;
            let requeue = bits & 0x01 != 0;
            Ok(Self { delivery_tag, requeue })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.delivery_tag, out);
            out.put(&[u8::from(self.requeue)]);
        }
    }

    /// `basic.recover-async`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct RecoverAsync {
        pub requeue: bool,
    }

    impl RecoverAsync {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 100;
        pub(super) const NAME: &'static str = "basic.recover-async";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let bits = reader.u8()?;
            let requeue = bits & 0x01 != 0;
            Ok(Self { requeue })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            out.put(&[u8::from(self.requeue)]);
        }
    }

    /// `basic.recover`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Recover {
        pub requeue: bool,
    }

    impl Recover {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 110;
        pub(super) const NAME: &'static str = "basic.recover";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let bits = reader.u8()?;
            let requeue = bits & 0x01 != 0;
            Ok(Self { requeue })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            out.put(&[u8::from(self.requeue)]);
        }
    }

    /// `basic.recover-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct RecoverOk {}

    impl RecoverOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 111;
        pub(super) const NAME: &'static str = "basic.recover-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `basic.nack`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Nack {
        pub delivery_tag: u64,
        pub multiple: bool,
        pub requeue: bool,
    }

    impl Nack {
        /// Class id << 16 | method id.
        pub const ID: u32 = 60 << 16 | 120;
        pub(super) const NAME: &'static str = "basic.nack";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let delivery_tag = reader.u64()?;
            let bits = reader.u8()?;
            let multiple = bits & 0x01 != 0;
            let requeue = bits & 0x02 != 0;
            Ok(Self { delivery_tag, multiple, requeue })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.delivery_tag, out);
            out.put(&[u8::from(self.multiple) | u8::from(self.requeue) << 1]);
        }
    }
}

/// The methods of class `connection`.
pub mod connection {
    use super::*;

    /// The id of class `connection`.
    pub const CLASS_ID: u16 = 10;

    /// `connection.start`
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Start {
        pub version_major: u8,
        pub version_minor: u8,
        pub server_properties: Table,
        pub mechanisms: bytes::Bytes,
        pub locales: bytes::Bytes,
    }

    impl Start {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 10;
        pub(super) const NAME: &'static str = "connection.start";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let version_major = reader.u8()?;
            let version_minor = reader.u8()?;
            let server_properties = reader.table()?;
            let mechanisms = reader.long_string()?;
            let locales = reader.long_string()?;
            Ok(Self { version_major, version_minor, server_properties, mechanisms, locales })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.version_major, out);
            Put::put(&self.version_minor, out);
            Put::put(&self.server_properties, out);
            Put::put(&self.mechanisms, out);
            Put::put(&self.locales, out);
        }
    }

    /// `connection.start-ok`
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct StartOk {
        pub client_properties: Table,
        pub mechanism: ShortString,
        pub response: bytes::Bytes,
        pub locale: ShortString,
    }

    impl StartOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 11;
        pub(super) const NAME: &'static str = "connection.start-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let client_properties = reader.table()?;
            let mechanism = reader.short_string()?;
            let response = reader.long_string()?;
            let locale = reader.short_string()?;
            Ok(Self { client_properties, mechanism, response, locale })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.client_properties, out);
            Put::put(&self.mechanism, out);
            Put::put(&self.response, out);
            Put::put(&self.locale, out);
        }
    }

    /// `connection.secure`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Secure {
        pub challenge: bytes::Bytes,
    }

    impl Secure {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 20;
        pub(super) const NAME: &'static str = "connection.secure";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let challenge = reader.long_string()?;
            Ok(Self { challenge })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.challenge, out);
        }
    }

    /// `connection.secure-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct SecureOk {
        pub response: bytes::Bytes,
    }

    impl SecureOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 21;
        pub(super) const NAME: &'static str = "connection.secure-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let response = reader.long_string()?;
            Ok(Self { response })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.response, out);
        }
    }

    /// `connection.tune`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Tune {
        pub channel_max: u16,
        pub frame_max: u32,
        pub heartbeat: u16,
    }

    impl Tune {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 30;
        pub(super) const NAME: &'static str = "connection.tune";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let channel_max = reader.u16()?;
            let frame_max = reader.u32()?;
            let heartbeat = reader.u16()?;
            Ok(Self { channel_max, frame_max, heartbeat })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.channel_max, out);
            Put::put(&self.frame_max, out);
            Put::put(&self.heartbeat, out);
        }
    }

    /// `connection.tune-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct TuneOk {
        pub channel_max: u16,
        pub frame_max: u32,
        pub heartbeat: u16,
    }

    impl TuneOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 31;
        pub(super) const NAME: &'static str = "connection.tune-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let channel_max = reader.u16()?;
            let frame_max = reader.u32()?;
            let heartbeat = reader.u16()?;
            Ok(Self { channel_max, frame_max, heartbeat })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.channel_max, out);
            Put::put(&self.frame_max, out);
            Put::put(&self.heartbeat, out);
        }
    }

    /// `connection.open`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Open {
        pub virtual_host: ShortString,
        pub capabilities: ShortString,
        pub insist: bool,
    }

    impl Open {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 40;
        pub(super) const NAME: &'static str = "connection.open";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let virtual_host = reader.short_string()?;
            let capabilities = reader.short_string()?;
            let bits = reader.u8()?;
            let insist = bits & 0x01 != 0;
            Ok(Self { virtual_host, capabilities, insist })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.virtual_host, out);
            Put::put(&self.capabilities, out);
            out.put(&[u8::from(self.insist)]);
        }
    }

    /// `connection.open-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct OpenOk {
        pub known_hosts: ShortString,
    }

    impl OpenOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 41;
        pub(super) const NAME: &'static str = "connection.open-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let known_hosts = reader.short_string()?;
            Ok(Self { known_hosts })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.known_hosts, out);
        }
    }

    /// `connection.close`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Close {
        pub reply_code: u16,
        pub reply_text: ShortString,
        pub class_id: u16,
        pub method_id: u16,
    }

    impl Close {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 50;
        pub(super) const NAME: &'static str = "connection.close";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let reply_code = reader.u16()?;
            let reply_text = reader.short_string()?;
            let class_id = reader.u16()?;
            let method_id = reader.u16()?;
            Ok(Self { reply_code, reply_text, class_id, method_id })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.reply_code, out);
            Put::put(&self.reply_text, out);
            Put::put(&self.class_id, out);
            Put::put(&self.method_id, out);
        }
    }

    /// `connection.close-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct CloseOk {}

    impl CloseOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 51;
        pub(super) const NAME: &'static str = "connection.close-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `connection.blocked`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Blocked {
        pub reason: ShortString,
    }

    impl Blocked {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 60;
        pub(super) const NAME: &'static str = "connection.blocked";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let reason = reader.short_string()?;
            Ok(Self { reason })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.reason, out);
        }
    }

    /// `connection.unblocked`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Unblocked {}

    impl Unblocked {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 61;
        pub(super) const NAME: &'static str = "connection.unblocked";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `connection.update-secret`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct UpdateSecret {
        pub new_secret: bytes::Bytes,
        pub reason: ShortString,
    }

    impl UpdateSecret {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 70;
        pub(super) const NAME: &'static str = "connection.update-secret";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let new_secret = reader.long_string()?;
            let reason = reader.short_string()?;
            Ok(Self { new_secret, reason })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.new_secret, out);
            Put::put(&self.reason, out);
        }
    }

    /// `connection.update-secret-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct UpdateSecretOk {}

    impl UpdateSecretOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 10 << 16 | 71;
        pub(super) const NAME: &'static str = "connection.update-secret-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }
}

/// The methods of class `channel`.
pub mod channel {
    use super::*;

    /// The id of class `channel`.
    pub const CLASS_ID: u16 = 20;

    /// `channel.open`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Open {
        pub out_of_band: ShortString,
    }

    impl Open {
        /// Class id << 16 | method id.
        pub const ID: u32 = 20 << 16 | 10;
        pub(super) const NAME: &'static str = "channel.open";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let out_of_band = reader.short_string()?;
            Ok(Self { out_of_band })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.out_of_band, out);
        }
    }

    /// `channel.open-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct OpenOk {
        pub channel_id: bytes::Bytes,
    }

    impl OpenOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 20 << 16 | 11;
        pub(super) const NAME: &'static str = "channel.open-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let channel_id = reader.long_string()?;
            Ok(Self { channel_id })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.channel_id, out);
        }
    }

    /// `channel.flow`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Flow {
        pub active: bool,
    }

    impl Flow {
        /// Class id << 16 | method id.
        pub const ID: u32 = 20 << 16 | 20;
        pub(super) const NAME: &'static str = "channel.flow";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let bits = reader.u8()?;
            let active = bits & 0x01 != 0;
            Ok(Self { active })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            out.put(&[u8::from(self.active)]);
        }
    }

    /// `channel.flow-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct FlowOk {
        pub active: bool,
    }

    impl FlowOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 20 << 16 | 21;
        pub(super) const NAME: &'static str = "channel.flow-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let bits = reader.u8()?;
            let active = bits & 0x01 != 0;
            Ok(Self { active })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            out.put(&[u8::from(self.active)]);
        }
    }

    /// `channel.close`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Close {
        pub reply_code: u16,
        pub reply_text: ShortString,
        pub class_id: u16,
        pub method_id: u16,
    }

    impl Close {
        /// Class id << 16 | method id.
        pub const ID: u32 = 20 << 16 | 40;
        pub(super) const NAME: &'static str = "channel.close";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let reply_code = reader.u16()?;
            let reply_text = reader.short_string()?;
            let class_id = reader.u16()?;
            let method_id = reader.u16()?;
            Ok(Self { reply_code, reply_text, class_id, method_id })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.reply_code, out);
            Put::put(&self.reply_text, out);
            Put::put(&self.class_id, out);
            Put::put(&self.method_id, out);
        }
    }

    /// `channel.close-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct CloseOk {}

    impl CloseOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 20 << 16 | 41;
        pub(super) const NAME: &'static str = "channel.close-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }
}

/// The methods of class `access`.
pub mod access {
    use super::*;

    /// The id of class `access`.
    pub const CLASS_ID: u16 = 30;

    /// `access.request`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Request {
        pub realm: ShortString,
        pub exclusive: bool,
        pub passive: bool,
        pub active: bool,
        pub write: bool,
        pub read: bool,
    }

    impl Request {
        /// Class id << 16 | method id.
        pub const ID: u32 = 30 << 16 | 10;
        pub(super) const NAME: &'static str = "access.request";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let realm = reader.short_string()?;
            let bits = reader.u8()?;
            let exclusive = bits & 0x01 != 0;
            let passive = bits & 0x02 != 0;
            let active = bits & 0x04 != 0;
            let write = bits & 0x08 != 0;
            let read = bits & 0x10 != 0;
            Ok(Self { realm, exclusive, passive, active, write, read })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.realm, out);
            out.put(&[u8::from(self.exclusive)
                | u8::from(self.passive) << 1
                | u8::from(self.active) << 2
                | u8::from(self.write) << 3
                | u8::from(self.read) << 4]);
        }
    }

    /// `access.request-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct RequestOk {
        pub ticket: u16,
    }

    impl RequestOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 30 << 16 | 11;
        pub(super) const NAME: &'static str = "access.request-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let ticket = reader.u16()?;
            Ok(Self { ticket })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.ticket, out);
        }
    }
}

/// The methods of class `exchange`.
pub mod exchange {
    use super::*;

    /// The id of class `exchange`.
    pub const CLASS_ID: u16 = 40;

    /// `exchange.declare`
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Declare {
        pub exchange: ShortString,
        pub r#type: ShortString,
        pub passive: bool,
        pub durable: bool,
        pub auto_delete: bool,
        pub internal: bool,
        pub nowait: bool,
        pub arguments: Table,
    }

    impl Declare {
        /// Class id << 16 | method id.
        pub const ID: u32 = 40 << 16 | 10;
        pub(super) const NAME: &'static str = "exchange.declare";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let exchange = reader.short_string()?;
            let r#type = reader.short_string()?;
            let bits = reader.u8()?;
            let passive = bits & 0x01 != 0;
            let durable = bits & 0x02 != 0;
            let auto_delete = bits & 0x04 != 0;
            let internal = bits & 0x08 != 0;
            let nowait = bits & 0x10 != 0;
            let arguments = reader.table()?;
            Ok(Self { exchange, r#type, passive, durable, auto_delete, internal, nowait, arguments })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.exchange, out);
            Put::put(&self.r#type, out);
            out.put(&[u8::from(self.passive)
                | u8::from(self.durable) << 1
                | u8::from(self.auto_delete) << 2
                | u8::from(self.internal) << 3
                | u8::from(self.nowait) << 4]);
            Put::put(&self.arguments, out);
        }
    }

    /// `exchange.declare-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct DeclareOk {}

    impl DeclareOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 40 << 16 | 11;
        pub(super) const NAME: &'static str = "exchange.declare-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `exchange.delete`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Delete {
        pub exchange: ShortString,
        pub if_unused: bool,
        pub nowait: bool,
    }

    impl Delete {
        /// Class id << 16 | method id.
        pub const ID: u32 = 40 << 16 | 20;
        pub(super) const NAME: &'static str = "exchange.delete";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let exchange = reader.short_string()?;
            let bits = reader.u8()?;
            let if_unused = bits & 0x01 != 0;
            let nowait = bits & 0x02 != 0;
            Ok(Self { exchange, if_unused, nowait })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.exchange, out);
            out.put(&[u8::from(self.if_unused) | u8::from(self.nowait) << 1]);
        }
    }

    /// `exchange.delete-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct DeleteOk {}

    impl DeleteOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 40 << 16 | 21;
        pub(super) const NAME: &'static str = "exchange.delete-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `exchange.bind`
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Bind {
        pub destination: ShortString,
        pub source: ShortString,
        pub routing_key: ShortString,
        pub nowait: bool,
        pub arguments: Table,
    }

    impl Bind {
        /// Class id << 16 | method id.
        pub const ID: u32 = 40 << 16 | 30;
        pub(super) const NAME: &'static str = "exchange.bind";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let destination = reader.short_string()?;
            let source = reader.short_string()?;
            let routing_key = reader.short_string()?;
            let bits = reader.u8()?;
            let nowait = bits & 0x01 != 0;
            let arguments = reader.table()?;
            Ok(Self { destination, source, routing_key, nowait, arguments })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.destination, out);
            Put::put(&self.source, out);
            Put::put(&self.routing_key, out);
            out.put(&[u8::from(self.nowait)]);
            Put::put(&self.arguments, out);
        }
    }

    /// `exchange.bind-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct BindOk {}

    impl BindOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 40 << 16 | 31;
        pub(super) const NAME: &'static str = "exchange.bind-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `exchange.unbind`
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Unbind {
        pub destination: ShortString,
        pub source: ShortString,
        pub routing_key: ShortString,
        pub nowait: bool,
        pub arguments: Table,
    }

    impl Unbind {
        /// Class id << 16 | method id.
        pub const ID: u32 = 40 << 16 | 40;
        pub(super) const NAME: &'static str = "exchange.unbind";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let destination = reader.short_string()?;
            let source = reader.short_string()?;
            let routing_key = reader.short_string()?;
            let bits = reader.u8()?;
            let nowait = bits & 0x01 != 0;
            let arguments = reader.table()?;
            Ok(Self { destination, source, routing_key, nowait, arguments })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.destination, out);
            Put::put(&self.source, out);
            Put::put(&self.routing_key, out);
            out.put(&[u8::from(self.nowait)]);
            Put::put(&self.arguments, out);
        }
    }

    /// `exchange.unbind-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct UnbindOk {}

    impl UnbindOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 40 << 16 | 51;
        pub(super) const NAME: &'static str = "exchange.unbind-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }
}

/// The methods of class `queue`.
pub mod queue {
    use super::*;

    /// The id of class `queue`.
    pub const CLASS_ID: u16 = 50;

    /// `queue.declare`
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Declare {
        pub queue: ShortString,
        pub passive: bool,
        pub durable: bool,
        pub exclusive: bool,
        pub auto_delete: bool,
        pub nowait: bool,
        pub arguments: Table,
    }

    impl Declare {
        /// Class id << 16 | method id.
        pub const ID: u32 = 50 << 16 | 10;
        pub(super) const NAME: &'static str = "queue.declare";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let queue = reader.short_string()?;
            let bits = reader.u8()?;
            let passive = bits & 0x01 != 0;
            let durable = bits & 0x02 != 0;
            let exclusive = bits & 0x04 != 0;
            let auto_delete = bits & 0x08 != 0;
            let nowait = bits & 0x10 != 0;
            let arguments = reader.table()?;
            Ok(Self { queue, passive, durable, exclusive, auto_delete, nowait, arguments })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.queue, out);
            out.put(&[u8::from(self.passive)
                | u8::from(self.durable) << 1
                | u8::from(self.exclusive) << 2
                | u8::from(self.auto_delete) << 3
                | u8::from(self.nowait) << 4]);
            Put::put(&self.arguments, out);
        }
    }

    /// `queue.declare-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct DeclareOk {
        pub queue: ShortString,
        pub message_count: u32,
        pub consumer_count: u32,
    }

    impl DeclareOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 50 << 16 | 11;
        pub(super) const NAME: &'static str = "queue.declare-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let queue = reader.short_string()?;
            let message_count = reader.u32()?;
            let consumer_count = reader.u32()?;
            Ok(Self { queue, message_count, consumer_count })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.queue, out);
            Put::put(&self.message_count, out);
            Put::put(&self.consumer_count, out);
        }
    }

    /// `queue.bind`
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Bind {
        pub queue: ShortString,
        pub exchange: ShortString,
        pub routing_key: ShortString,
        pub nowait: bool,
        pub arguments: Table,
    }

    impl Bind {
        /// Class id << 16 | method id.
        pub const ID: u32 = 50 << 16 | 20;
        pub(super) const NAME: &'static str = "queue.bind";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let queue = reader.short_string()?;
            let exchange = reader.short_string()?;
            let routing_key = reader.short_string()?;
            let bits = reader.u8()?;
            let nowait = bits & 0x01 != 0;
            let arguments = reader.table()?;
            Ok(Self { queue, exchange, routing_key, nowait, arguments })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.queue, out);
            Put::put(&self.exchange, out);
            Put::put(&self.routing_key, out);
            out.put(&[u8::from(self.nowait)]);
            Put::put(&self.arguments, out);
        }
    }

    /// `queue.bind-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct BindOk {}

    impl BindOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 50 << 16 | 21;
        pub(super) const NAME: &'static str = "queue.bind-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `queue.purge`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Purge {
        pub queue: ShortString,
        pub nowait: bool,
    }

    impl Purge {
        /// Class id << 16 | method id.
        pub const ID: u32 = 50 << 16 | 30;
        pub(super) const NAME: &'static str = "queue.purge";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let queue = reader.short_string()?;
            let bits = reader.u8()?;
            let nowait = bits & 0x01 != 0;
            Ok(Self { queue, nowait })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.queue, out);
            out.put(&[u8::from(self.nowait)]);
        }
    }

    /// `queue.purge-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct PurgeOk {
        pub message_count: u32,
    }

    impl PurgeOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 50 << 16 | 31;
        pub(super) const NAME: &'static str = "queue.purge-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let message_count = reader.u32()?;
            Ok(Self { message_count })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.message_count, out);
        }
    }

    /// `queue.delete`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Delete {
        pub queue: ShortString,
        pub if_unused: bool,
        pub if_empty: bool,
        pub nowait: bool,
    }

    impl Delete {
        /// Class id << 16 | method id.
        pub const ID: u32 = 50 << 16 | 40;
        pub(super) const NAME: &'static str = "queue.delete";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let queue = reader.short_string()?;
            let bits = reader.u8()?;
            let if_unused = bits & 0x01 != 0;
            let if_empty = bits & 0x02 != 0;
            let nowait = bits & 0x04 != 0;
            Ok(Self { queue, if_unused, if_empty, nowait })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.queue, out);
            out.put(&[u8::from(self.if_unused) | u8::from(self.if_empty) << 1 | u8::from(self.nowait) << 2]);
        }
    }

    /// `queue.delete-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct DeleteOk {
        pub message_count: u32,
    }

    impl DeleteOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 50 << 16 | 41;
        pub(super) const NAME: &'static str = "queue.delete-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let message_count = reader.u32()?;
            Ok(Self { message_count })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&self.message_count, out);
        }
    }

    /// `queue.unbind`
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Unbind {
        pub queue: ShortString,
        pub exchange: ShortString,
        pub routing_key: ShortString,
        pub arguments: Table,
    }

    impl Unbind {
        /// Class id << 16 | method id.
        pub const ID: u32 = 50 << 16 | 50;
        pub(super) const NAME: &'static str = "queue.unbind";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            reader.u16()?;
            let queue = reader.short_string()?;
            let exchange = reader.short_string()?;
            let routing_key = reader.short_string()?;
            let arguments = reader.table()?;
            Ok(Self { queue, exchange, routing_key, arguments })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            Put::put(&0_u16, out);
            Put::put(&self.queue, out);
            Put::put(&self.exchange, out);
            Put::put(&self.routing_key, out);
            Put::put(&self.arguments, out);
        }
    }

    /// `queue.unbind-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct UnbindOk {}

    impl UnbindOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 50 << 16 | 51;
        pub(super) const NAME: &'static str = "queue.unbind-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }
}

/// The methods of class `tx`.
pub mod tx {
    use super::*;

    /// The id of class `tx`.
    pub const CLASS_ID: u16 = 90;

    /// `tx.select`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Select {}

    impl Select {
        /// Class id << 16 | method id.
        pub const ID: u32 = 90 << 16 | 10;
        pub(super) const NAME: &'static str = "tx.select";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `tx.select-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct SelectOk {}

    impl SelectOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 90 << 16 | 11;
        pub(super) const NAME: &'static str = "tx.select-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `tx.commit`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Commit {}

    impl Commit {
        /// Class id << 16 | method id.
        pub const ID: u32 = 90 << 16 | 20;
        pub(super) const NAME: &'static str = "tx.commit";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `tx.commit-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct CommitOk {}

    impl CommitOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 90 << 16 | 21;
        pub(super) const NAME: &'static str = "tx.commit-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `tx.rollback`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Rollback {}

    impl Rollback {
        /// Class id << 16 | method id.
        pub const ID: u32 = 90 << 16 | 30;
        pub(super) const NAME: &'static str = "tx.rollback";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }

    /// `tx.rollback-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct RollbackOk {}

    impl RollbackOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 90 << 16 | 31;
        pub(super) const NAME: &'static str = "tx.rollback-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }
}

/// The methods of class `confirm`.
pub mod confirm {
    use super::*;

    /// The id of class `confirm`.
    pub const CLASS_ID: u16 = 85;

    /// `confirm.select`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Select {
        pub nowait: bool,
    }

    impl Select {
        /// Class id << 16 | method id.
        pub const ID: u32 = 85 << 16 | 10;
        pub(super) const NAME: &'static str = "confirm.select";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
            let bits = reader.u8()?;
            let nowait = bits & 0x01 != 0;
            Ok(Self { nowait })
        }

        pub(super) fn write(&self, out: &mut impl Output) {
            out.put(&[u8::from(self.nowait)]);
        }
    }

    /// `confirm.select-ok`
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct SelectOk {}

    impl SelectOk {
        /// Class id << 16 | method id.
        pub const ID: u32 = 85 << 16 | 11;
        pub(super) const NAME: &'static str = "confirm.select-ok";
        pub(super) const HAS_CONTENT: bool = false;

        pub(super) fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self {})
        }

        pub(super) fn write(&self, _: &mut impl Output) {}
    }
}

/// The properties of a message, decoded. [`PropertiesView`] is the encoded form.
///
/// `delivery-mode` is 1 (transient) or 2 (persistent), `expiration` milliseconds in decimal digits,
/// `timestamp` seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    pub content_type: Option<ShortString>,
    pub content_encoding: Option<ShortString>,
    pub headers: Option<Table>,
    pub delivery_mode: Option<u8>,
    pub priority: Option<u8>,
    pub correlation_id: Option<ShortString>,
    pub reply_to: Option<ShortString>,
    pub expiration: Option<ShortString>,
    pub message_id: Option<ShortString>,
    pub timestamp: Option<u64>,
    pub r#type: Option<ShortString>,
    pub user_id: Option<ShortString>,
    pub app_id: Option<ShortString>,
    pub cluster_id: Option<ShortString>,
}

impl Properties {
    /// Reads flags and list.
    ///
    /// # Errors
    /// `Truncated`, `TrailingBytes`, `NotUtf8`, `UnknownFieldType`, `NestedTooDeep`.
    pub fn decode(encoded: &[u8]) -> Result<Properties, DecodeError> {
        let mut reader = Reader(encoded);
        let flags = reader.u16()?;
        let has = |index| flags & flag(index) != 0;
        let properties = Properties {
            content_type: has(property::CONTENT_TYPE).then(|| reader.short_string()).transpose()?,
            content_encoding: has(property::CONTENT_ENCODING).then(|| reader.short_string()).transpose()?,
            headers: has(property::HEADERS).then(|| reader.table()).transpose()?,
            delivery_mode: has(property::DELIVERY_MODE).then(|| reader.u8()).transpose()?,
            priority: has(property::PRIORITY).then(|| reader.u8()).transpose()?,
            correlation_id: has(property::CORRELATION_ID).then(|| reader.short_string()).transpose()?,
            reply_to: has(property::REPLY_TO).then(|| reader.short_string()).transpose()?,
            expiration: has(property::EXPIRATION).then(|| reader.short_string()).transpose()?,
            message_id: has(property::MESSAGE_ID).then(|| reader.short_string()).transpose()?,
            timestamp: has(property::TIMESTAMP).then(|| reader.u64()).transpose()?,
            r#type: has(property::TYPE).then(|| reader.short_string()).transpose()?,
            user_id: has(property::USER_ID).then(|| reader.short_string()).transpose()?,
            app_id: has(property::APP_ID).then(|| reader.short_string()).transpose()?,
            cluster_id: has(property::CLUSTER_ID).then(|| reader.short_string()).transpose()?,
        };
        reader.finish().map(|()| properties)
    }

    /// Writes flags and list.
    pub fn encode(&self, out: &mut impl Output) {
        let mut flags = 0;
        if self.content_type.is_some() {
            flags |= flag(property::CONTENT_TYPE);
        }
        if self.content_encoding.is_some() {
            flags |= flag(property::CONTENT_ENCODING);
        }
        if self.headers.is_some() {
            flags |= flag(property::HEADERS);
        }
        if self.delivery_mode.is_some() {
            flags |= flag(property::DELIVERY_MODE);
        }
        if self.priority.is_some() {
            flags |= flag(property::PRIORITY);
        }
        if self.correlation_id.is_some() {
            flags |= flag(property::CORRELATION_ID);
        }
        if self.reply_to.is_some() {
            flags |= flag(property::REPLY_TO);
        }
        if self.expiration.is_some() {
            flags |= flag(property::EXPIRATION);
        }
        if self.message_id.is_some() {
            flags |= flag(property::MESSAGE_ID);
        }
        if self.timestamp.is_some() {
            flags |= flag(property::TIMESTAMP);
        }
        if self.r#type.is_some() {
            flags |= flag(property::TYPE);
        }
        if self.user_id.is_some() {
            flags |= flag(property::USER_ID);
        }
        if self.app_id.is_some() {
            flags |= flag(property::APP_ID);
        }
        if self.cluster_id.is_some() {
            flags |= flag(property::CLUSTER_ID);
        }
        Put::put(&flags, out);
        if let Some(value) = &self.content_type {
            value.put(out);
        }
        if let Some(value) = &self.content_encoding {
            value.put(out);
        }
        if let Some(value) = &self.headers {
            value.put(out);
        }
        if let Some(value) = &self.delivery_mode {
            value.put(out);
        }
        if let Some(value) = &self.priority {
            value.put(out);
        }
        if let Some(value) = &self.correlation_id {
            value.put(out);
        }
        if let Some(value) = &self.reply_to {
            value.put(out);
        }
        if let Some(value) = &self.expiration {
            value.put(out);
        }
        if let Some(value) = &self.message_id {
            value.put(out);
        }
        if let Some(value) = &self.timestamp {
            value.put(out);
        }
        if let Some(value) = &self.r#type {
            value.put(out);
        }
        if let Some(value) = &self.user_id {
            value.put(out);
        }
        if let Some(value) = &self.app_id {
            value.put(out);
        }
        if let Some(value) = &self.cluster_id {
            value.put(out);
        }
    }
}

impl<'a> PropertiesView<'a> {
    /// `content-type`
    #[inline]
    pub fn content_type(self) -> Option<&'a str> {
        self.short_str(0)
    }

    /// `content-encoding`
    #[inline]
    pub fn content_encoding(self) -> Option<&'a str> {
        self.short_str(1)
    }

    /// `delivery-mode`
    #[inline]
    pub fn delivery_mode(self) -> Option<u8> {
        self.octet(3)
    }

    /// `priority`
    #[inline]
    pub fn priority(self) -> Option<u8> {
        self.octet(4)
    }

    /// `correlation-id`
    #[inline]
    pub fn correlation_id(self) -> Option<&'a str> {
        self.short_str(5)
    }

    /// `reply-to`
    #[inline]
    pub fn reply_to(self) -> Option<&'a str> {
        self.short_str(6)
    }

    /// `expiration`
    #[inline]
    pub fn expiration(self) -> Option<&'a str> {
        self.short_str(7)
    }

    /// `message-id`
    #[inline]
    pub fn message_id(self) -> Option<&'a str> {
        self.short_str(8)
    }

    /// `timestamp`
    #[inline]
    pub fn timestamp(self) -> Option<u64> {
        self.long_long(9)
    }

    /// `type`
    #[inline]
    pub fn r#type(self) -> Option<&'a str> {
        self.short_str(10)
    }

    /// `user-id`
    #[inline]
    pub fn user_id(self) -> Option<&'a str> {
        self.short_str(11)
    }

    /// `app-id`
    #[inline]
    pub fn app_id(self) -> Option<&'a str> {
        self.short_str(12)
    }

    /// `cluster-id`
    #[inline]
    pub fn cluster_id(self) -> Option<&'a str> {
        self.short_str(13)
    }
}

/// Where each property stands in flags and list.
pub(super) mod property {
    use super::PropertyKind;
    pub(in super::super) const CONTENT_TYPE: usize = 0;
    pub(in super::super) const CONTENT_ENCODING: usize = 1;
    pub(in super::super) const HEADERS: usize = 2;
    pub(in super::super) const DELIVERY_MODE: usize = 3;
    pub(in super::super) const PRIORITY: usize = 4;
    pub(in super::super) const CORRELATION_ID: usize = 5;
    pub(in super::super) const REPLY_TO: usize = 6;
    pub(in super::super) const EXPIRATION: usize = 7;
    pub(in super::super) const MESSAGE_ID: usize = 8;
    pub(in super::super) const TIMESTAMP: usize = 9;
    pub(in super::super) const TYPE: usize = 10;
    pub(in super::super) const USER_ID: usize = 11;
    pub(in super::super) const APP_ID: usize = 12;
    pub(in super::super) const CLUSTER_ID: usize = 13;
    pub(in super::super) const COUNT: usize = 14;
    pub(in super::super) const KINDS: [PropertyKind; COUNT] = [
        PropertyKind::ShortString,
        PropertyKind::ShortString,
        PropertyKind::Table,
        PropertyKind::Octet,
        PropertyKind::Octet,
        PropertyKind::ShortString,
        PropertyKind::ShortString,
        PropertyKind::ShortString,
        PropertyKind::ShortString,
        PropertyKind::Timestamp,
        PropertyKind::ShortString,
        PropertyKind::ShortString,
        PropertyKind::ShortString,
        PropertyKind::ShortString,
    ];
}
