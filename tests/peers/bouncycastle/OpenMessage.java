// Opens an S/MIME mail with Bouncy Castle and JavaMail, as a mail program does: decrypts it, verifies the site's signature, and writes each part of
// what was signed into a folder, the text as text.txt.
//   java -cp JARS:CLASSES OpenMessage MAIL.eml KEY.pem CERTIFICATE.pem SITE.pem FOLDER

import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.util.Properties;
import javax.mail.BodyPart;
import javax.mail.Session;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.KeyAgreeRecipientId;
import org.bouncycastle.cms.KeyTransRecipientId;
import org.bouncycastle.cms.RecipientId;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.mail.smime.SMIMESigned;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;

public class OpenMessage {
    public static void main(String[] arguments) throws Exception {
        BouncyCastleProvider provider = new BouncyCastleProvider();
        java.security.Security.addProvider(provider);
        PrivateKey key = new JcaPEMKeyConverter().setProvider(provider).getPrivateKey((PrivateKeyInfo) OpenCover.pem(arguments[1]));
        X509CertificateHolder doctor = (X509CertificateHolder) OpenCover.pem(arguments[2]);
        X509CertificateHolder site = (X509CertificateHolder) OpenCover.pem(arguments[3]);
        MimeMessage mail = new MimeMessage(Session.getInstance(new Properties()), new FileInputStream(arguments[0]));
        byte[] plain = decrypt(mail, key, doctor, provider);
        SMIMESigned signed = new SMIMESigned((MimeMultipart) new MimeBodyPart(new ByteArrayInputStream(plain)).getContent());
        if (signed.getSignerInfos().size() != 1) {
            throw new SecurityException("not exactly one signer");
        }
        for (SignerInformation signer : signed.getSignerInfos()) {
            if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider(provider).build(site))) {
                throw new SecurityException("the signature is not the site's");
            }
        }
        MimeMultipart parts = (MimeMultipart) signed.getContent().getContent();
        for (int i = 0; i < parts.getCount(); i++) {
            BodyPart part = parts.getBodyPart(i);
            String name = part.getFileName() == null ? "text.txt" : part.getFileName();
            Files.write(Path.of(arguments[4], name), part.getInputStream().readAllBytes());
        }
    }

    static byte[] decrypt(MimeMessage mail, PrivateKey key, X509CertificateHolder doctor, BouncyCastleProvider provider) throws Exception {
        if (mail.getContentType().contains("authEnveloped-data")) {
            return OpenCover.decrypt(new CMSAuthEnvelopedData(mail.getInputStream()), key, doctor, provider);
        }
        boolean rsa = key.getAlgorithm().equals("RSA");
        RecipientId id = rsa
            ? new KeyTransRecipientId(doctor.getIssuer(), doctor.getSerialNumber())
            : new KeyAgreeRecipientId(doctor.getIssuer(), doctor.getSerialNumber());
        var information = new CMSEnvelopedData(mail.getInputStream()).getRecipientInfos().get(id);
        return information.getContent(rsa
            ? new JceKeyTransEnvelopedRecipient(key).setProvider(provider)
            : new JceKeyAgreeEnvelopedRecipient(key).setProvider(provider));
    }
}
