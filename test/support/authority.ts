/** A certificate authority for one test, and one server certificate that it has signed. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

const KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export async function makeAuthority(
  ip: string,
): Promise<{ readonly authorityPem: string; readonly cert: string; readonly key: string }> {
  const [own, server] = await Promise.all([newKeys(), newKeys()]);
  const lifetime = {
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 86_400_000),
  };
  const authority = await X509CertificateGenerator.createSelfSigned(
    {
      name: "CN=authority of a test",
      keys: own,
      signingAlgorithm: KEY,
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
      ...lifetime,
    },
    webcrypto,
  );
  const certificate = await X509CertificateGenerator.create(
    {
      subject: "CN=proxy",
      issuer: authority.subject,
      publicKey: server.publicKey,
      signingKey: own.privateKey,
      signingAlgorithm: KEY,
      extensions: [new SubjectAlternativeNameExtension([{ type: "ip", value: ip }])],
      ...lifetime,
    },
    webcrypto,
  );
  const key = await webcrypto.subtle.exportKey("pkcs8", server.privateKey);
  return {
    authorityPem: authority.toString("pem"),
    cert: certificate.toString("pem"),
    key: PemConverter.encode(key, PemConverter.PrivateKeyTag),
  };
}

async function newKeys() {
  return webcrypto.subtle.generateKey(KEY, true, ["sign", "verify"]);
}
