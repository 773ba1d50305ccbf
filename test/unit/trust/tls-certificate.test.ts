import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createSecureContext, createServer } from "node:tls";
import { describe, expect, it } from "vitest";
import { makeTlsCertificate } from "../../../coordinator/trust/tls-certificate.ts";

const HOSTS = ["deploy.example.org", "localhost", "127.0.0.1", "::1", "2001:db8::a:0:1"];

describe("the coordinator's certificate", async () => {
  const nowMs = Date.now();
  const tls = await makeTlsCertificate({ nowMs, hosts: HOSTS });
  const context = { cert: tls.certificatePem, key: tls.privateKeyPem };
  const certificate = new X509Certificate(tls.certificatePem);

  it("loads in node:tls with its key, lasts ten years and names its hosts", () => {
    createSecureContext(context);

    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkHost("deploy.example.org")).toBe("deploy.example.org");
    for (const ip of HOSTS.slice(2)) expect(certificate.checkIP(ip)).toBe(ip);
    expect(certificate.checkHost("evil.example.org")).toBeUndefined();
    const years = (certificate.validToDate.getTime() - nowMs) / (365.25 * 86_400_000);
    expect(years).toBeCloseTo(10, 1);
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  });

  it("is accepted as its own trust anchor by a verifying client, and no other is", async () => {
    const server = createServer(context);
    server.on("tlsClientError", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;

    const socket = connect({ port, host: "127.0.0.1", ca: [tls.certificatePem] });
    await once(socket, "secureConnect");
    expect(socket.authorized).toBe(true);
    socket.destroy();

    const other = (await makeTlsCertificate({ nowMs, hosts: HOSTS })).certificatePem;
    const stranger = connect({ port, host: "127.0.0.1", ca: [other] });
    const [error] = await once(stranger, "error").catch((cause: unknown) => [cause]);
    expect(error).toBeInstanceOf(Error);
    stranger.destroy();
    server.close();
  });

  it("is a P-256 certificate that signs itself and is for servers alone", () => {
    expect(certificate.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    expect(certificate.ca).toBe(true);
    expect(certificate.checkIssued(certificate)).toBe(true);
    expect(certificate.validFromDate.getTime()).toBeLessThan(nowMs);
  });

  it("is readable after 2050 as well and refuses hosts that are none", async () => {
    const late = await makeTlsCertificate({ hosts: ["a"], nowMs: Date.UTC(2045, 0, 1) });

    expect(new X509Certificate(late.certificatePem).validToDate.getUTCFullYear()).toBe(2055);
    await expect(makeTlsCertificate({ hosts: ["a b"], nowMs })).rejects.toMatchObject({
      code: "INPUT_INVALID",
    });
  });
});
