//! Archives of other makers, and what `[pacs.NAME]` says of them.

use gateway::config::Pacs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An archive of somebody else, stopped when dropped.
pub(crate) struct Archive {
    process: Child,
    pub(crate) address: SocketAddr,
    _temp: TempDir,
}

impl Drop for Archive {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Archive {
    fn start(command: &mut Command, address: SocketAddr, temp: TempDir) -> Self {
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process
            .unwrap_or_else(|error| panic!("{:?} is needed for this test: {error}", command.get_program()));
        let archive = Self { process, address, _temp: temp };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the archive does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        archive
    }

    pub(crate) fn orthanc() -> Self {
        Self::orthanc_that_moves_to("NOBODY", free_address())
    }

    /// Orthanc that takes, finds and gives everything, and knows one AE title to move to.
    pub(crate) fn orthanc_that_moves_to(ae_title: &str, address_of_it: SocketAddr) -> Self {
        let (temp, address) = (TempDir::new().unwrap(), free_address());
        let config = serde_json::json!({
            "Name": "test", "DicomAet": "ORTHANC", "DicomPort": address.port(), "HttpServerEnabled": false,
            "DicomServerEnabled": true, "DicomCheckCalledAet": true, "DicomAlwaysAllowStore": true,
            "DicomAlwaysAllowFind": true, "DicomAlwaysAllowGet": true, "DicomAlwaysAllowMove": true,
            "TranscodeDicomProtocol": false,
            "DicomModalities": {
                "mover": { "AET": "SCANPOST", "Host": "127.0.0.1", "Port": 1, "AllowMove": true },
                "to": { "AET": ae_title, "Host": "127.0.0.1", "Port": address_of_it.port() },
            },
            "StorageDirectory": temp.path(), "IndexDirectory": temp.path(),
        });
        let path = temp.path().join("orthanc.json");
        std::fs::write(&path, config.to_string()).unwrap();
        Self::start(Command::new("Orthanc").arg(path), address, temp)
    }

    pub(crate) fn dcmqrscp() -> Self {
        Self::dcmqrscp_that_moves_to("NOBODY", free_address())
    }

    /// DCMTK's archive, with two storage areas of their own AE titles open to everybody, which knows one AE title to move to.
    pub(crate) fn dcmqrscp_that_moves_to(ae_title: &str, address_of_it: SocketAddr) -> Self {
        let (temp, address) = (TempDir::new().unwrap(), free_address());
        let (area, second) = (temp.path().join("area"), temp.path().join("second"));
        std::fs::create_dir(&area).unwrap();
        std::fs::create_dir(&second).unwrap();
        let config = format!(
            "NetworkTCPPort = {}\nMaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\n\
             to = ({ae_title}, 127.0.0.1, {})\nHostTable END\n\
             VendorTable BEGIN\nVendorTable END\nAETable BEGIN\nARCHIVE {} RW (200, 1024mb) ANY\n\
             SECOND {} RW (200, 1024mb) ANY\nAETable END\n",
            address.port(),
            address_of_it.port(),
            area.display(),
            second.display()
        );
        let path = temp.path().join("dcmqrscp.cfg");
        std::fs::write(&path, config).unwrap();
        Self::start(Command::new("dcmqrscp").arg("-c").arg(path), address, temp)
    }

    pub(crate) fn pacs(&self, ae_title: &str) -> Pacs {
        pacs(self.address, ae_title)
    }
}

/// `[pacs.NAME]` for an archive at this address.
pub(crate) fn pacs(address: SocketAddr, ae_title: &str) -> Pacs {
    toml::from_str(&format!("ae_title = \"{ae_title}\"\naddress = \"{address}\"")).unwrap()
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
