/**
 * The port of the first start is kept: peers and firewalls may remember it.
 */
import { join } from "node:path";
import { isIPv6 } from "node:net";
import { readFileIfAny, writeFileDurably } from "../content/write-file.ts";

/** What to listen on; port 0 becomes the kept one, where there is one. */
export async function listenAddresses(
  dataDir: string,
  listen: { readonly host: string; readonly port: number },
): Promise<readonly string[]> {
  const port = listen.port === 0 ? await keptPort(dataDir) : listen.port;
  const family = isIPv6(listen.host) ? "ip6" : "ip4";
  return [`/${family}/${listen.host}/tcp/${port}`];
}

/** Remembers the port of addresses such as /ip4/10.0.0.1/tcp/4001/p2p/… */
export async function keepPort(dataDir: string, addresses: readonly string[]): Promise<void> {
  const port = Number(/\/tcp\/(\d+)/u.exec(addresses[0] ?? "")?.[1] ?? 0);
  if (port === 0 || port === (await keptPort(dataDir))) return;
  await writeFileDurably(portPath(dataDir), `${port}\n`);
}

async function keptPort(dataDir: string): Promise<number> {
  const text = (await readFileIfAny(portPath(dataDir)))?.toString("utf8").trim() ?? "";
  const port = /^\d{1,5}$/u.test(text) ? Number(text) : 0;
  return port < 65_536 ? port : 0;
}

function portPath(dataDir: string): string {
  return join(dataDir, "listen-port");
}
