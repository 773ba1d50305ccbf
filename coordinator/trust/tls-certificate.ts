/**
 * The coordinator's self-signed certificate. Nodes pin it whole (it is part of the fleet description), so
 * it needs no authority; it is written as plain DER, a handful of fixed fields (RFC 5280).
 */
import { createPrivateKey, createPublicKey, randomBytes, sign } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { DeployError } from "../../protocol/errors.ts";

const LIFETIME_YEARS = 10;
/** Clocks of endpoints may be behind. */
const BACKDATED_MS = 24 * 3_600_000;

const OID = {
  ecdsaWithSha256: "06082a8648ce3d040302",
  commonName: "0603550403",
  basicConstraints: "0603551d13",
  keyUsage: "0603551d0f",
  extendedKeyUsage: "0603551d25",
  serverAuth: "06082b06010505070301",
  subjectAltName: "0603551d11",
} as const;

export interface CertificateInput {
  /** PKCS #8 PEM of a P-256 key. */
  readonly privateKeyPem: string;
  /** DNS names and IP addresses that the certificate is for. */
  readonly hosts: readonly string[];
  readonly nowMs: number;
}

export interface TlsCertificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export function selfSignedCertificate(input: CertificateInput): TlsCertificate {
  const key = createPrivateKey(input.privateKeyPem);
  const algorithm = sequence(oid("ecdsaWithSha256"));
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" });
  const name = sequence(set(sequence(oid("commonName"), tagged(0x0c, Buffer.from("branchline")))));
  const body = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))),
    integer(positive(randomBytes(16))),
    algorithm,
    name,
    validity(input.nowMs),
    name,
    publicKey,
    tagged(0xa3, sequence(...extensions(input.hosts))),
  );
  const signature = sign("sha256", body, key);
  const certificate = sequence(body, algorithm, bitString(signature));
  return { certificatePem: pem(certificate), privateKeyPem: input.privateKeyPem };
}

function extensions(hosts: readonly string[]): Buffer[] {
  const isTrue = tagged(0x01, Uint8Array.of(0xff));
  // A certificate that is its own trust anchor signs itself, hence CA and certificate signing.
  const usage = Buffer.from("03020284", "hex"); // digitalSignature, keyCertSign
  return [
    sequence(oid("basicConstraints"), isTrue, octets(sequence(isTrue))),
    sequence(oid("keyUsage"), isTrue, octets(usage)),
    sequence(oid("extendedKeyUsage"), octets(sequence(oid("serverAuth")))),
    sequence(oid("subjectAltName"), octets(sequence(...hosts.map(alternativeName)))),
  ];
}

function alternativeName(host: string): Buffer {
  if (isIPv4(host)) return tagged(0x87, Uint8Array.from(host.split("."), Number));
  if (isIPv6(host)) return tagged(0x87, ipv6Bytes(host));
  if (!/^[A-Za-z0-9*]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/u.test(host)) {
    throw new DeployError("INPUT_INVALID", {
      what: `host "${host.slice(0, 100)}"`,
      expected: "a DNS name or an IP address",
    });
  }
  return tagged(0x82, Buffer.from(host, "ascii"));
}

function ipv6Bytes(host: string): Buffer {
  // The URL parser writes every IPv6 address in one form: lower case, at most one `::`, no dots.
  const text = new URL(`http://[${host.replace(/%.*$/u, "")}]/`).hostname.slice(1, -1);
  const [head = "", tail = ""] = text.split("::");
  const before = groups(head);
  const after = groups(tail);
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0);
  const bytes = Buffer.alloc(16);
  [...before, ...zeros, ...after].forEach((group, index) => bytes.writeUInt16BE(group, index * 2));
  return bytes;
}

function groups(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

function validity(nowMs: number): Buffer {
  const end = new Date(nowMs);
  end.setUTCFullYear(end.getUTCFullYear() + LIFETIME_YEARS);
  return sequence(instant(new Date(nowMs - BACKDATED_MS)), instant(end));
}

// RFC 5280 4.1.2.5: two-digit years until 2049.
function instant(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/[-:T]/gu, "").slice(0, 14);
  return date.getUTCFullYear() < 2050
    ? tagged(0x17, Buffer.from(`${digits.slice(2)}Z`))
    : tagged(0x18, Buffer.from(`${digits}Z`));
}

function positive(bytes: Buffer): Buffer {
  const first = bytes.at(0) ?? 0;
  bytes[0] = (first & 0x7f) | 0x40;
  return bytes;
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function set(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x31, Buffer.concat(parts));
}

function octets(content: Uint8Array): Buffer {
  return tagged(0x04, content);
}

function integer(content: Uint8Array): Buffer {
  return tagged(0x02, content);
}

function bitString(content: Uint8Array): Buffer {
  return tagged(0x03, Buffer.concat([Uint8Array.of(0), content]));
}

function oid(name: keyof typeof OID): Buffer {
  return Buffer.from(OID[name], "hex");
}

function tagged(tag: number, content: Uint8Array): Buffer {
  const size = content.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Uint8Array.of(tag, ...length), content]);
}

function pem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/gu) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
