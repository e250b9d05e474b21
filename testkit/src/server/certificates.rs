//! An authority of a test's own, and the server certificate that it vouches for: made anew for each
//! server, so that one server's authority can stand for a wrong one of another.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Writes `ca.crt`, and `server.crt` with `server.key` for a server with these `names` (of hosts or
/// IP addresses), into `folder`. They are valid whatever the machine's clock says.
pub(super) fn write(folder: &Path, names: &[String]) {
    let (ca_key, key) = (generate(), generate());
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "leasehold test authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca.self_signed(&ca_key).expect("an authority");
    let issuer = Issuer::new(ca, ca_key);

    let mut server = CertificateParams::new(names).expect("names of hosts");
    server.distinguished_name.push(DnType::CommonName, "leasehold test server");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let certificate = server.signed_by(&key, &issuer).expect("a certificate");

    for (file, pem) in [
        ("ca.crt", ca_certificate.pem()),
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(folder.join(file), pem).expect("a file in the server's folder");
    }
}

fn generate() -> KeyPair {
    KeyPair::generate().expect("a key")
}
