/**
 * The coordinator's self-signed certificate. Nodes pin it whole (it is part of the fleet description), so
 * it needs no authority; a certificate that is its own trust anchor signs itself.
 */
// Before the library: it registers its parts by metadata when it is loaded.
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type JsonGeneralName,
} from "@peculiar/x509";
import { DeployError } from "../../protocol/errors.ts";

const LIFETIME_YEARS = 10;
/** Clocks of endpoints may be behind. */
const BACKDATED_MS = 24 * 3_600_000;
const KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export interface CertificateInput {
  /** DNS names and IP addresses that the certificate is for. */
  readonly hosts: readonly string[];
  readonly nowMs: number;
}

export interface TlsCertificate {
  readonly certificatePem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
}

/** A new P-256 key and its certificate. Throws INPUT_INVALID for a host that is none. */
export async function makeTlsCertificate(input: CertificateInput): Promise<TlsCertificate> {
  const names = input.hosts.map(alternativeName);
  const keys = await webcrypto.subtle.generateKey(KEY, true, ["sign", "verify"]);
  const notAfter = new Date(input.nowMs);
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + LIFETIME_YEARS);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: [{ CN: ["branchline"] }],
      notBefore: new Date(input.nowMs - BACKDATED_MS),
      notAfter,
      signingAlgorithm: KEY,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(names),
      ],
    },
    webcrypto,
  );
  const privateKey = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certificatePem: `${certificate.toString("pem")}\n`,
    privateKeyPem: `${PemConverter.encode(privateKey, PemConverter.PrivateKeyTag)}\n`,
  };
}

function alternativeName(host: string): JsonGeneralName {
  // A zone names an interface of this machine and means nothing to others.
  const address = host.replace(/%.*$/u, "");
  if (isIP(address) !== 0) return { type: "ip", value: address };
  if (/^[A-Za-z0-9*]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/u.test(host)) {
    return { type: "dns", value: host };
  }
  throw new DeployError("INPUT_INVALID", {
    what: `host "${host.slice(0, 100)}"`,
    expected: "a DNS name or an IP address",
  });
}
