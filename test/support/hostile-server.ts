/** A coordinator that is not the fleet's: shows a description of a fleet and writes down what it is sent. */
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { dataLayout } from "../../coordinator/data-layout.ts";
import type { Fleet as FleetDescription } from "../../protocol/check-in.ts";
import type { Fleet } from "./processes.ts";

export interface RequestSeen {
  readonly line: string;
  readonly headerNames: readonly string[];
  readonly bodyBytes: number;
}

interface Disguise {
  readonly key: string;
  readonly certificate: string;
  readonly description: FleetDescription;
}

export class HostileServer implements AsyncDisposable {
  readonly requests: RequestSeen[] = [];
  readonly #server: Server;
  readonly #description: FleetDescription;

  private constructor(server: Server, description: FleetDescription) {
    this.#server = server;
    this.#description = description;
  }

  static async start({ key, certificate, description }: Disguise): Promise<HostileServer> {
    const server = createServer({ key, cert: certificate });
    const hostile = new HostileServer(server, description);
    server.on("request", (request, response) => {
      hostile.#answer(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return hostile;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    const { method = "", url = "", headers } = request;
    const headerNames = Object.keys(headers).toSorted();
    this.requests.push({ line: `${method} ${url}`, headerNames, bodyBytes: body.length });
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(this.#description));
  }
}

/** The public description of the fleet in a coordinator's data folder. */
export async function descriptionIn(dataFolder: string): Promise<FleetDescription> {
  return JSON.parse(await readFile(dataLayout(dataFolder).fleet, "utf8")) as FleetDescription;
}

/** Key, certificate and description of a fleet that an attacker made for himself. */
export async function otherFleet(fleet: Fleet, name: string): Promise<Disguise> {
  const folder = join(fleet.folder, name);
  await fleet.command(["init", "--data", folder]);
  const keys = await readFile(dataLayout(folder).onlineKeys, "utf8");
  const description = await descriptionIn(folder);
  return {
    key: (JSON.parse(keys) as { readonly tlsPrivateKey: string }).tlsPrivateKey,
    certificate: description.tlsCertificate ?? "",
    description,
  };
}
