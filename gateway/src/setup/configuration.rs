//! The text of a new configuration: what was answered, with the comments of the sample, and nothing that has a default.

use super::answers::{Answers, Doctor, Host, Pacs};
use super::files::Names;
use crate::check::{MAIL_IDENTITY, ZONE_TRANSFER};
use notifier::Language;
use std::path::Path;

/// Our AE title when the PACS is asked.
pub(super) const OWN_AE_TITLE: &str = "SCANPOST";

/// The whole file.
pub(super) fn text(answers: &Answers, names: &Names, state: &Path) -> String {
    let parts = [
        head(answers, names, state),
        dicom(answers),
        answers.page.as_ref().map_or_else(String::new, |page| {
            format!(
                "\n[page] # the technician's page; accounts: scanpost-gateway account add NAME --role administrator\nlisten = {}\n\
                 certificate = {} # made by setup: put one of the hospital's authority in its place\nkey = {}\ntime_zone = {}\n",
                quoted(&page.listen.to_string()),
                path(&names.page_certificate),
                path(&names.page_key),
                quoted(&page.time_zone),
            )
        }),
        mail(answers, names),
        doctor(&answers.doctor, names),
    ];
    parts.concat()
}

fn head(answers: &Answers, names: &Names, state: &Path) -> String {
    format!(
        "# Configuration of scanpost-gateway, begun by `scanpost-gateway setup`. Every key: docs/config.md.\n\
         # After a change: systemctl restart scanpost-gateway\n\n\
         site = {}\nstate = {} # journal and spool: room for the studies of a night\n\n\
         [spool]\nkey_file = {} # keep a copy elsewhere; or hand it over as the credential of this name (docs/install.md)\n\n\
         [seal] # the key that signs everything: every doctor's device has pinned its certificate\n\
         key = {}\ncertificate = {}\npassphrase_file = {}\n",
        quoted(&answers.site),
        path(state),
        path(&names.spool_key),
        path(&names.site_key),
        path(&names.site_certificate),
        path(&names.passphrase),
    )
}

fn dicom(answers: &Answers) -> String {
    let listener = format!(
        "\n[dicom] # the hospital's network, never the outside\nlisten = {}\nhold = {} # studies sent here wait for a press on the page\n",
        quoted(&answers.listen.to_string()),
        quoted(&answers.hold),
    );
    let pacs = answers.pacs.as_ref().map_or_else(
        || "\n# [pacs.main] # no PACS is asked whether a study is complete\n# ae_title = \"PACS\"\n# address = \"10.0.0.2:104\"\n".to_owned(),
        |Pacs { ae_title, address: Host { name, port } }| {
            format!(
                "\n[pacs.main] # asked whether a study is complete, and for what is missing\nae_title = {}\naddress = {}\nown_ae_title = {}\n\
                 # retrieve = \"get\" # or \"move\", \"dicomweb\", \"none\"\n",
                quoted(ae_title),
                quoted(&format!("{name}:{port}")),
                quoted(OWN_AE_TITLE),
            )
        },
    );
    listener + &pacs
}

fn mail(answers: &Answers, names: &Names) -> String {
    let ca = match &answers.mail_ca {
        Some(_) => format!("ca = {} # only this authority\n", path(&names.mail_ca)),
        None => "# ca = \"/etc/scanpost/mail-ca.pem\" # only this authority; the system's roots without it\n"
            .to_owned(),
    };
    let server = |host: &Host| {
        format!(
            "host = {}\nport = {}\nuser = {}\npassword_file = {}\n{ca}",
            quoted(&host.name),
            host.port,
            quoted(&answers.mail_user),
            path(&names.mail_password),
        )
    };
    let domain = answers.mail_from.rsplit_once('@').map_or("", |(_, domain)| domain);
    let identity = match answers.own_domain {
        true => names.dkim.iter().map(|key| dkim(domain, key)).collect(),
        false => {
            let theirs: Vec<&str> = MAIL_IDENTITY.into_iter().chain([ZONE_TRANSFER]).collect();
            format!("\n[check]\nskip = {theirs:?} # the zone of {domain} is somebody else's\n")
        }
    };
    format!(
        "\n[submit] # every study leaves by this server, and notices do\n{}from = {}\n{identity}\n\
         [pulled] # where receipts come back\n{}\n\
         [notify]\n# channel_after_s = 120 # nobody opened it: the doctors' channels of the next level (docs/channels.md)\n\
         # escalate_after_s = 300 # nobody opened it: the next doctor of the group\n",
        server(&answers.smtp),
        quoted(&answers.mail_from),
        server(&answers.imap),
    )
}

fn dkim(domain: &str, key: &Path) -> String {
    format!(
        "\n[[submit.dkim]] # signs every mail; scanpost-gateway check prints the record to publish\ndomain = {}\nselector = {}\nkey = {}\n",
        quoted(domain),
        quoted(Names::selector(key)),
        path(key),
    )
}

fn doctor(doctor: &Doctor, names: &Names) -> String {
    let certificate = match &doctor.certificate {
        Some(_) => format!("certificate = {}\n", path(&names.doctor_certificate)),
        None => format!("# the keys come by: scanpost-gateway doctor invite {}\n", doctor.key),
    };
    let language = match doctor.language {
        Language::English => "en",
        Language::Japanese => "ja",
    };
    format!(
        "\n[doctors.{}]\nname = {}\nmailbox = {} # for Scanpost alone\nfolder = {}\n{certificate}phone = {}\nlanguage = {}\n\n\
         [destinations.{}] # what the PACS lists as a send target\ndoctors = [{}]\n",
        doctor.key,
        quoted(&doctor.name),
        quoted(&doctor.mailbox),
        quoted(&doctor.folder),
        quoted(&doctor.notice_mailbox),
        quoted(language),
        quoted(&doctor.ae_title),
        quoted(&doctor.key),
    )
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
