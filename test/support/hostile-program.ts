/**
 * A hostile member as a process of its own, so that it can live in another network namespace. Its one
 * argument is JSON; it prints a line when it has joined, and runs until SIGTERM.
 */
import { once } from "node:events";
import { HostilePeer, type HostilePeerOptions } from "./hostile-peer.ts";

export interface HostileProgram extends HostilePeerOptions {
  readonly url: string;
  /** The coordinator's data folder. */
  readonly dataFolder: string;
  readonly nodeFolder: string;
  readonly token: string;
}

const program = JSON.parse(process.argv[2] ?? "") as HostileProgram;
const { url, dataFolder, nodeFolder, token } = program;
const home = { url, dataFolder, nodeFolder: () => nodeFolder, json: async () => ({ token }) };
await using peer = await HostilePeer.join(home, program);
process.stdout.write(`${peer.endpoint}\n`);
await once(process, "SIGTERM");
