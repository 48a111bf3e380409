//! The channels of the configuration, ready to send.

use crate::config::{Channel, Config, ConfigError, MAIL, Server, read_secret};
use crate::dkim;
use notifier::{
    Body, CommandChannel, HttpChannel, HttpServer, Kind, Login, MailChannel, MailServer, Secret, Template,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tls::Trust;

/// A channel of any kind.
type AnyChannel = Box<dyn notifier::Channel>;

/// Reads every secret once, so that a missing one is told at start and not by a notice that stays away.
pub(super) fn open(config: &Config) -> Result<BTreeMap<String, AnyChannel>, ConfigError> {
    let server = config.notify.server.as_ref().unwrap_or(&config.submit);
    let mut channels = BTreeMap::from([(MAIL.to_owned(), mail(server, &config.site)?)]);
    for (name, channel) in &config.channels {
        for (_, secret) in channel.secrets() {
            read_secret(secret)?;
        }
        channels.insert(name.clone(), of(name, channel)?);
    }
    Ok(channels)
}

fn of(name: &str, channel: &Channel) -> Result<AnyChannel, ConfigError> {
    if let Some(program) = &channel.program {
        return Ok(Box::new(CommandChannel::new(program.clone(), channel.arguments.clone())));
    }
    let server = HttpServer {
        url: channel.server_url()?.unwrap_or_default(),
        trust: Trust::read(&channel.tls())?,
        login: login(channel),
        template: template(channel).ok_or_else(|| unusable(name, "kind", "needs other keys"))?,
        answer_contains: channel.answer_contains.clone(),
    };
    let unusable = |_| unusable(name, "url", "write https:// and a host, without user and password");
    Ok(Box::new(HttpChannel::new(server).map_err(unusable)?))
}

fn login(channel: &Channel) -> Login {
    match (&channel.token_file, &channel.user, &channel.password_file) {
        (Some(token), ..) => Login::Bearer(secret(token)),
        (None, Some(user), Some(password)) => Login::Basic { user: user.clone(), password: secret(password) },
        _ => Login::None,
    }
}

fn template(channel: &Channel) -> Option<Template> {
    let body = || Body::new(channel.format, channel.body.clone()?).ok();
    match channel.kind {
        Kind::Ntfy => Some(Template::Ntfy),
        Kind::Webhook => Some(Template::Webhook(secret(channel.secret_file.as_deref()?))),
        Kind::Teams => Some(Template::Teams),
        Kind::Slack => Some(Template::Slack),
        Kind::LineWorks => Some(Template::LineWorks),
        Kind::Sms => body().map(Template::Sms),
        Kind::Voice => body().map(Template::Voice),
        Kind::Mail | Kind::Command => None,
    }
}

fn secret(path: &Path) -> Secret {
    let path = PathBuf::from(path);
    Box::new(move || Some(read_secret(&path).ok()?.trim().to_owned()))
}

fn unusable(name: &str, key: &str, reason: &'static str) -> ConfigError {
    ConfigError::Value { key: format!("channels.{name}.{key}"), reason }
}

fn mail(server: &Server, site: &str) -> Result<AnyChannel, ConfigError> {
    let password = server.password()?;
    let mail_server = MailServer {
        host: &server.host,
        port: server.port,
        user: &server.user,
        password: &password,
        trust: Trust::read(&server.tls())?,
        sign: signing(server)?,
        from: server.sender(),
        site,
    };
    let channel = MailChannel::new(mail_server).map_err(|_| ConfigError::Value {
        key: "notify.server".into(),
        reason: "the sender is not a mail address",
    })?;
    Ok(Box::new(channel))
}

fn signing(server: &Server) -> Result<Option<notifier::Sign>, ConfigError> {
    let signers = dkim::read(&server.dkim)?;
    let sign = move |mail: &[u8], at: i64| dkim::fields_of(&signers, mail, at).ok();
    Ok((!server.dkim.is_empty()).then_some(Box::new(sign) as notifier::Sign))
}
