// Opens a cover with Bouncy Castle, a second implementation of CMS, and verifies the site's signature.
//   java -cp JARS OpenCover.java COVER.p7m KEY.pem CERTIFICATE.pem SITE.pem > cover.json

import java.io.FileInputStream;
import java.io.FileReader;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.PrivateKey;
import javax.crypto.Cipher;
import javax.crypto.CipherInputStream;
import javax.crypto.SecretKey;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.ASN1OctetString;
import org.bouncycastle.asn1.cms.GCMParameters;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSException;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.KeyAgreeRecipientId;
import org.bouncycastle.cms.KeyTransRecipientId;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientId;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientOperator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.operator.InputAEADDecryptor;

public class OpenCover {
    public static void main(String[] files) throws Exception {
        BouncyCastleProvider provider = new BouncyCastleProvider();
        java.security.Security.addProvider(provider);
        PrivateKey key = new JcaPEMKeyConverter().setProvider(provider).getPrivateKey((PrivateKeyInfo) pem(files[1]));
        X509CertificateHolder doctor = (X509CertificateHolder) pem(files[2]);
        X509CertificateHolder site = (X509CertificateHolder) pem(files[3]);
        byte[] signed = decrypt(new CMSAuthEnvelopedData(new FileInputStream(files[0])), key, doctor, provider);
        System.out.write(verified(new CMSSignedData(signed), site, provider));
        System.out.flush();
    }

    static byte[] decrypt(CMSAuthEnvelopedData cover, PrivateKey key, X509CertificateHolder doctor, BouncyCastleProvider provider)
            throws Exception {
        boolean rsa = key.getAlgorithm().equals("RSA");
        RecipientId id = rsa
            ? new KeyTransRecipientId(doctor.getIssuer(), doctor.getSerialNumber())
            : new KeyAgreeRecipientId(doctor.getIssuer(), doctor.getSerialNumber());
        RecipientInformation information = cover.getRecipientInfos().get(id);
        Recipient recipient = rsa
            ? new JceKeyTransAuthEnvelopedRecipient(key).setProvider(provider)
            : new KeyAgreeAuthEnvelopedRecipient(key).setProvider(provider);
        return information.getContent(recipient);
    }

    static byte[] verified(CMSSignedData signed, X509CertificateHolder site, BouncyCastleProvider provider) throws Exception {
        for (SignerInformation signer : signed.getSignerInfos()) {
            if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider(provider).build(site))) {
                throw new SecurityException("the signature is not the site's");
            }
        }
        if (signed.getSignerInfos().size() != 1) {
            throw new SecurityException("not exactly one signer");
        }
        return (byte[]) signed.getSignedContent().getContent();
    }

    static Object pem(String file) throws Exception {
        try (PEMParser parser = new PEMParser(new FileReader(file))) {
            return parser.readObject();
        }
    }

    /** What Bouncy Castle 1.72 has for RSA alone: key agreement by its code, then AES-GCM. */
    static class KeyAgreeAuthEnvelopedRecipient extends JceKeyAgreeRecipient {
        KeyAgreeAuthEnvelopedRecipient(PrivateKey key) {
            super(key);
        }

        @Override
        public RecipientOperator getRecipientOperator(AlgorithmIdentifier wrap, AlgorithmIdentifier content,
                SubjectPublicKeyInfo sender, ASN1OctetString ukm, byte[] wrappedKey) throws CMSException {
            byte[] secret = extractSecretKey(wrap, content, sender, ukm, wrappedKey).getEncoded();
            return new RecipientOperator(new GcmDecryptor(content, new SecretKeySpec(secret, "AES")));
        }
    }

    record GcmDecryptor(AlgorithmIdentifier algorithm, SecretKey key) implements InputAEADDecryptor {
        @Override
        public AlgorithmIdentifier getAlgorithmIdentifier() {
            return algorithm;
        }

        @Override
        public InputStream getInputStream(InputStream sealed) {
            try {
                GCMParameters parameters = GCMParameters.getInstance(algorithm.getParameters());
                Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
                cipher.init(Cipher.DECRYPT_MODE, key, new GCMParameterSpec(parameters.getIcvLen() * 8, parameters.getNonce()));
                return new CipherInputStream(sealed, cipher);
            } catch (java.security.GeneralSecurityException e) {
                throw new IllegalStateException(e);
            }
        }

        @Override
        public OutputStream getAADStream() {
            return OutputStream.nullOutputStream();
        }

        @Override
        public byte[] getMAC() {
            return new byte[0];
        }
    }
}
