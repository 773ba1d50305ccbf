/** What goes over a real socket, and when: a connection as the multiplexer uses it. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { multiaddr } from "@multiformats/multiaddr";
import type { Logger } from "@libp2p/interface";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Uint8ArrayList } from "uint8arraylist";
import { SocketConnection } from "../../../node/swarm/socket-connection.ts";

const SYN = 1;
const ignored = (): void => undefined;
const log: Logger = Object.assign(ignored, {
  enabled: false,
  error: ignored,
  trace: ignored,
  newScope: () => log,
});
let server: Server;
let socket: Socket;
let other: Socket;
let connection: SocketConnection;

beforeEach(async () => {
  server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, "connection");
  socket = connect(port, "127.0.0.1");
  [other] = (await accepted) as [Socket];
  await once(socket, "connect");
  const address = multiaddr(`/ip4/127.0.0.1/tcp/${port}`);
  connection = new SocketConnection(socket, address, "outbound", log);
});
afterEach(() => {
  socket.destroy();
  other.destroy();
  server.close();
});

/** A window update as the multiplexer's specification lays it out. */
function credit(sizeBytes: number, flags = 0): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(1, 1);
  header.writeUInt16BE(flags, 2);
  header.writeUInt32BE(7, 4);
  header.writeUInt32BE(sizeBytes, 8);
  return header;
}

function send(bytes: Buffer): void {
  connection.sendData(new Uint8ArrayList(bytes));
}

async function received(sizeBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of other) {
    parts.push(part as Buffer);
    if (Buffer.concat(parts).length >= sizeBytes) break;
  }
  return Buffer.concat(parts);
}

it("keeps little credit until something is sent, and sends it first", async () => {
  const data = Buffer.from("a frame of the multiplexer");
  send(credit(300));
  send(credit(400));
  expect(socket.bytesWritten).toBe(0);

  send(data);

  const expected = Buffer.concat([credit(300), credit(400), data]);
  expect(await received(expected.length)).toEqual(expected);
});

it("sends credit at once where a peer may be waiting for it", async () => {
  send(credit(10_000));
  expect(socket.bytesWritten).toBe(0);

  send(credit(7000));

  const expected = Buffer.concat([credit(10_000), credit(7000)]);
  expect(await received(expected.length)).toEqual(expected);
});

it("holds back nothing that opens or ends a stream", () => {
  send(credit(0, SYN));

  expect(socket.bytesWritten).toBe(12);
});
