import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createSecureContext, createServer } from "node:tls";
import { describe, expect, it } from "vitest";
import { initTrust } from "../../../coordinator/trust/init-trust.ts";
import { selfSignedCertificate } from "../../../coordinator/trust/tls-certificate.ts";
import { makeFleetKeys } from "../../../coordinator/trust/fleet-keys.ts";

const HOSTS = ["deploy.example.org", "localhost", "127.0.0.1", "::1", "2001:db8::a:0:1"];

describe("the coordinator's certificate", () => {
  const nowMs = Date.now();
  const { online, fleet } = initTrust({ nowMs, hosts: HOSTS });
  const certificate = new X509Certificate(fleet.tlsCertificate!);

  it("loads in node:tls with its key, lasts ten years and names its hosts", () => {
    createSecureContext({ cert: fleet.tlsCertificate!, key: online.tlsPrivateKey });

    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkHost("deploy.example.org")).toBe("deploy.example.org");
    for (const ip of HOSTS.slice(2)) expect(certificate.checkIP(ip)).toBe(ip);
    expect(certificate.checkHost("evil.example.org")).toBeUndefined();
    const years = (certificate.validToDate.getTime() - nowMs) / (365.25 * 86_400_000);
    expect(years).toBeCloseTo(10, 1);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  });

  it("is accepted as its own trust anchor by a verifying client, and no other is", async () => {
    const server = createServer({ cert: fleet.tlsCertificate!, key: online.tlsPrivateKey });
    server.on("tlsClientError", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;

    const socket = connect({ port, host: "127.0.0.1", ca: [fleet.tlsCertificate!] });
    await once(socket, "secureConnect");
    expect(socket.authorized).toBe(true);
    socket.destroy();

    const other = initTrust({ nowMs, hosts: HOSTS }).fleet.tlsCertificate!;
    const stranger = connect({ port, host: "127.0.0.1", ca: [other] });
    const [error] = await once(stranger, "error").catch((cause: unknown) => [cause]);
    expect(error).toBeInstanceOf(Error);
    stranger.destroy();
    server.close();
  });

  it("is readable after 2050 as well and refuses hosts that are none", () => {
    const privateKeyPem = makeFleetKeys().online.tlsPrivateKey;
    const late = selfSignedCertificate({
      privateKeyPem,
      hosts: ["a"],
      nowMs: Date.UTC(2045, 0, 1),
    });

    expect(new X509Certificate(late.certificatePem).validToDate.getUTCFullYear()).toBe(2055);
    expect(() => selfSignedCertificate({ privateKeyPem, hosts: ["a b"], nowMs })).toThrow(
      expect.objectContaining({ code: "INPUT_INVALID" }),
    );
  });
});
