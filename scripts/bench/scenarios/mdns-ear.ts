/** A host of an office that hears every multicast of mDNS (RFC 6762) and counts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const EAR = `
  const socket = require("dgram").createSocket({ type: "udp4", reuseAddr: true });
  let count = 0;
  socket.on("message", () => console.log(++count));
  socket.bind(5353, () => {
    socket.addMembership("224.0.0.251", process.argv[1]);
    console.log(0);
  });
`;

export interface MdnsEar extends AsyncDisposable {
  readonly packets: () => number;
}

/** `prefix` runs a command on the host, `address` is its own. */
export async function startMdnsEar(prefix: readonly string[], address: string): Promise<MdnsEar> {
  const [file = "", ...rest] = prefix;
  const child = spawn(file, [...rest, process.execPath, "--eval", EAR, address], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let packets = 0;
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    packets = Number(line);
  });
  await once(lines, "line");
  return {
    packets: () => packets,
    [Symbol.asyncDispose]: async () => {
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    },
  };
}
