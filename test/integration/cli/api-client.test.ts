/** The HTTP client against servers that are broken, foreign or not there. */
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ApiClient } from "../../../coordinator/cli/api-client.ts";
import { publishTarget } from "../../../coordinator/cli/publish-target.ts";
import { makeTlsCertificate } from "../../../coordinator/trust/tls-certificate.ts";

const never = new AbortController().signal;
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listening(server: Server, scheme: string): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function clientOf(listener: RequestListener, signal = never): Promise<ApiClient> {
  const url = await listening(createServer(listener), "http");
  return new ApiClient({ url, token: "secret" }, signal);
}

async function identity() {
  const hosts = ["elsewhere.example"];
  const made = await makeTlsCertificate({ hosts, nowMs: Date.now() });
  return { key: made.privateKeyPem, cert: made.certificatePem };
}
describe("answers", () => {
  it("go with the operator token and come back parsed", async () => {
    let header: string | undefined;
    await using client = await clientOf((request, response) => {
      header = request.headers.authorization;
      response.end('{"endpoints":[],"sites":[],"packages":[],"notices":[]}');
    });

    expect(await client.status()).toMatchObject({
      endpoints: [],
      sites: [],
      packages: [],
      notices: [],
    });
    expect(header).toBe("Bearer secret");
  });

  it.each([
    ["no JSON", "<html>", "DOCUMENT_INVALID"],
    ["another document", '{"endpoints":1}', "DOCUMENT_INVALID"],
    ["too deep", `${"[".repeat(50)}${"]".repeat(50)}`, "DOCUMENT_INVALID"],
  ])("are refused when they are %s", async (_what, body, code) => {
    await using client = await clientOf((_request, response) => {
      response.end(body);
    });

    await expect(client.status()).rejects.toMatchObject({ code });
  });

  it("are cut off when they have no end", async () => {
    await using client = await clientOf((_request, response) => {
      const block = Buffer.alloc(1024 * 1024, 0x20);
      const more = (): void => {
        while (response.write(block));
        response.once("drain", more);
      };
      more();
    });

    await expect(client.listSites()).rejects.toMatchObject({ code: "DOCUMENT_TOO_LARGE" });
  });

  it("keep the coordinator's code and request id when they are refusals", async () => {
    await using client = await clientOf((_request, response) => {
      response.statusCode = 404;
      response.end('{"code":"NOT_FOUND","message":"m","hint":"h","requestId":"r"}');
    });

    await expect(client.setDp("x", true)).rejects.toMatchObject({
      code: "CLI_REFUSED",
      message: "m",
      hint: "h",
      details: { apiCode: "NOT_FOUND", requestId: "r", status: 404 },
    });
  });

  it("name the status when another program answers", async () => {
    await using client = await clientOf((_request, response) => {
      response.statusCode = 502;
      response.end("<html>Bad gateway</html>");
    });

    await expect(client.status()).rejects.toThrow("HTTP status 502 and no explanation");
  });

  it("end with the signal", async () => {
    const stopping = new AbortController();
    await using client = await clientOf(() => stopping.abort(), stopping.signal);

    await expect(client.status()).rejects.toMatchObject({ code: "CLI_INTERRUPTED" });
  });
});

describe("a publish", () => {
  const bin = { manifest: "{}", bin: "bin-00", binMetadata: "{}" };

  it("sees a conflict as such, so that it can sign again", async () => {
    await using client = await clientOf((_request, response) => {
      response.statusCode = 400;
      response.end('{"code":"PUBLISH_CONFLICT","message":"m","hint":"h","requestId":"r"}');
    });

    await expect(publishTarget(client).addPackage(bin, never)).rejects.toMatchObject({
      code: "PUBLISH_CONFLICT",
    });
  });

  it("asks again after 503 and gives up at once after other refusals", async () => {
    const statuses = [503, 400];
    await using client = await clientOf((_request, response) => {
      response.statusCode = statuses.shift() ?? 500;
      response.end('{"code":"X","message":"m","hint":"h","requestId":"r"}');
    });

    await expect(publishTarget(client).missing([], never)).rejects.toMatchObject({
      details: { status: 400 },
    });
    expect(statuses).toEqual([]);
  });
});

describe("TLS", () => {
  it("trusts the pinned certificate whatever host name it is for, and no other", async () => {
    const own = await identity();
    const server = createTlsServer(own, (_request, response) => {
      response.end("[]");
    });
    const url = await listening(server, "https");

    await using pinned = new ApiClient({ url, token: "t", ca: own.cert }, never);
    expect(await pinned.listSites()).toEqual([]);
    await using other = new ApiClient({ url, token: "t", ca: (await identity()).cert }, never);
    await expect(other.listSites()).rejects.toMatchObject({ code: "CLI_UNTRUSTED" });
    await using system = new ApiClient({ url, token: "t" }, never);
    await expect(system.listSites()).rejects.toMatchObject({ code: "CLI_UNTRUSTED" });
  });

  it("tells https from http where the address mixes them up", async () => {
    const plain = await listening(createServer(), "https");
    const sealed = await listening(createTlsServer(await identity()), "http");

    await using first = new ApiClient({ url: plain, token: "t" }, never);
    await expect(first.status()).rejects.toThrow("is it http rather than https?");
    await using second = new ApiClient({ url: sealed, token: "t" }, never);
    await expect(second.status()).rejects.toThrow("is it https rather than http");
  });

  it("says that nobody answers, and for a data folder that nothing runs there", async () => {
    const url = "https://127.0.0.1:1";

    await using client = new ApiClient({ url, token: "t" }, never);
    await expect(client.status()).rejects.toMatchObject({ code: "CLI_UNREACHABLE" });
    await using local = new ApiClient({ url, token: "t", dataDir: "./data" }, never);
    await expect(local.status()).rejects.toMatchObject({ code: "CLI_NOT_RUNNING" });
  });
});
