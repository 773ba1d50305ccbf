/**
 * Branch offices on one Linux machine: network namespaces, bridges and rate limits. Every office has a
 * router whose `wan` port is its rented line; the head office holds the coordinator. Nothing leaves the
 * machine, and every name carries the process id, so runs do not meet.
 */
import { spawnSync } from "node:child_process";
import { outputOf, type Prefix } from "./processes.ts";

export interface LabOptions {
  readonly sites: number;
  readonly hosts: number;
  /** Rates as `tc` writes them. */
  readonly wan: string;
  readonly lan?: string;
  /** A second line between the first two offices, beside the one to the head office. */
  readonly hasVpn?: boolean;
}

/** Bytes that crossed one port, seen from the office: `down` came in. */
export interface PortBytes {
  readonly down: number;
  readonly up: number;
}

export const COORDINATOR_HOST = "10.90.0.10";
const IP = "ip";
const OFFLOADS = ["tso", "gso", "gro"].flatMap((name) => [name, "off"]);

let labCount = 0;

/** Why the lab cannot run here, or undefined where it can. */
export async function labRefusal(): Promise<string | undefined> {
  if (process.platform !== "linux") return "network namespaces need Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const name = `bl${process.pid}-try`;
  try {
    await ip(`netns add ${name}`);
    await ip(`netns del ${name}`);
    return undefined;
  } catch (error) {
    return `ip netns add: ${error instanceof Error ? error.message : String(error)}`;
  }
}

export class Lab implements AsyncDisposable {
  readonly options: LabOptions;
  readonly #prefix: string;
  /** For a process that ends before it disposes of the lab; namespaces outlive processes. */
  readonly #onExit = (): void => {
    const { stdout } = spawnSync(IP, ["netns", "list"], { encoding: "utf8" });
    for (const name of this.#ownNames(stdout)) spawnSync(IP, ["netns", "del", name]);
  };

  private constructor(options: LabOptions, prefix: string) {
    this.options = options;
    this.#prefix = prefix;
    process.on("exit", this.#onExit);
  }

  static async build(options: LabOptions): Promise<Lab> {
    const lab = new Lab(options, `bl${process.pid}n${labCount++}`);
    try {
      await lab.#buildHeadOffice();
      for (let site = 0; site < options.sites; site++) await lab.#buildSite(site);
      if (options.hasVpn === true) await lab.#buildVpn();
      return lab;
    } catch (cause) {
      await lab[Symbol.asyncDispose]();
      throw cause;
    }
  }

  /** Runs a command in the head office. */
  get headOffice(): Prefix {
    return execIn(this.#name("hq"));
  }

  /** Runs a command on one host of an office. */
  host(site: number, host: number): Prefix {
    return execIn(this.#name(`s${site}h${host}`));
  }

  address(site: number, host: number): string {
    return `10.91.${site}.${10 + host}`;
  }

  subnet(site: number): string {
    return `10.91.${site}.0/24`;
  }

  /** Counters of the office's line to the head office. */
  async wanBytes(site: number): Promise<PortBytes> {
    return portBytes(this.#name(`r${site}`), "wan");
  }

  /** Counters of one host's port at its office's switch, as the host sees them. */
  async hostBytes(site: number, host: number): Promise<PortBytes> {
    const { down, up } = await portBytes(this.#name(`r${site}`), `h${host}`);
    return { down: up, up: down };
  }

  /** Counters of the line between the first two offices. */
  async vpnBytes(): Promise<PortBytes> {
    return portBytes(this.#name("r0"), "vpn");
  }

  async cutWan(site: number): Promise<void> {
    const router = this.#name(`r${site}`);
    await ip(`-n ${router} link set wan down`);
  }

  /** Limits one host's port, both ways. */
  async limitHost(site: number, host: number, rate: string): Promise<void> {
    await limit(this.#name(`s${site}h${host}`), "eth0", rate);
    await limit(this.#name(`r${site}`), `h${host}`, rate);
  }

  /** Limits what one host sends. */
  async limitUpload(site: number, host: number, rate: string): Promise<void> {
    await limit(this.#name(`s${site}h${host}`), "eth0", rate);
  }

  /** The office's switch passes no multicast on, as between VLANs; everything else goes on. */
  async muteMulticast(site: number): Promise<void> {
    for (let host = 0; host < this.options.hosts; host++) {
      await ip(`-n ${this.#name(`r${site}`)} link set h${host} type bridge_slave mcast_flood off`);
    }
  }

  /** The hosts from `firstFar` on and those before it no longer reach each other, but all reach the line. */
  async split(site: number, firstFar: number): Promise<void> {
    await this.#onSplit(site, firstFar, "add");
  }

  async heal(site: number, firstFar: number): Promise<void> {
    await this.#onSplit(site, firstFar, "del");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { stdout } = await outputOf("ip", ["netns", "list"]);
    for (const name of this.#ownNames(stdout)) {
      const pids = await outputOf("ip", ["netns", "pids", name]);
      for (const pid of pids.stdout.split("\n").filter((text) => text !== "")) killQuietly(pid);
      await outputOf("ip", ["netns", "del", name]);
    }
    process.off("exit", this.#onExit);
  }

  #ownNames(listed: string): readonly string[] {
    const names = listed.split("\n").map((line) => line.split(" ")[0] ?? "");
    return names.filter((name) => name.startsWith(`${this.#prefix}-`));
  }

  // A host that must not reach another refuses to send to it; it is the cheapest wall between two VLANs.
  async #onSplit(site: number, firstFar: number, verb: "add" | "del"): Promise<void> {
    for (let host = 0; host < this.options.hosts; host++) {
      const isFar = host >= firstFar;
      for (let other = 0; other < this.options.hosts; other++) {
        if (other >= firstFar === isFar) continue;
        const route = `blackhole ${this.address(site, other)}/32`;
        await ip(`-n ${this.#name(`s${site}h${host}`)} route ${verb} ${route}`);
      }
    }
  }

  #name(part: string): string {
    return `${this.#prefix}-${part}`;
  }

  async #buildHeadOffice(): Promise<void> {
    const core = this.#name("core");
    const hq = this.#name("hq");
    await addNamespace(core);
    await addNamespace(hq);
    await addBridge(core);
    await wire(hq, "eth0", core, "hq");
    await ip(`-n ${core} link set hq master br0`);
    await ip(`-n ${hq} addr add ${COORDINATOR_HOST}/16 dev eth0`);
  }

  async #buildSite(site: number): Promise<void> {
    const core = this.#name("core");
    const router = this.#name(`r${site}`);
    await addNamespace(router);
    await run(`ip netns exec ${router} sysctl -qw net.ipv4.ip_forward=1`);
    await wire(router, "wan", core, `s${site}`);
    await ip(`-n ${core} link set s${site} master br0`);
    await ip(`-n ${router} addr add 10.90.1.${site + 1}/16 dev wan`);
    await limit(core, `s${site}`, this.options.wan);
    await limit(router, "wan", this.options.wan);
    const hq = this.#name("hq");
    await ip(`-n ${hq} route add ${this.subnet(site)} via 10.90.1.${site + 1}`);
    await addBridge(router);
    await ip(`-n ${router} addr add 10.91.${site}.1/24 dev br0`);
    for (let host = 0; host < this.options.hosts; host++) await this.#buildHost(site, host);
  }

  async #buildHost(site: number, host: number): Promise<void> {
    const router = this.#name(`r${site}`);
    const name = this.#name(`s${site}h${host}`);
    await addNamespace(name);
    await wire(name, "eth0", router, `h${host}`);
    await ip(`-n ${router} link set h${host} master br0`);
    await ip(`-n ${name} addr add ${this.address(site, host)}/24 brd + dev eth0`);
    await ip(`-n ${name} route add default via 10.91.${site}.1`);
    await this.limitHost(site, host, this.options.lan ?? "200mbit");
  }

  async #buildVpn(): Promise<void> {
    const [first, second] = [this.#name("r0"), this.#name("r1")];
    await wire(first, "vpn", second, "vpn");
    await ip(`-n ${first} addr add 10.92.0.1/30 dev vpn`);
    await ip(`-n ${second} addr add 10.92.0.2/30 dev vpn`);
    await ip(`-n ${first} route add ${this.subnet(1)} via 10.92.0.2`);
    await ip(`-n ${second} route add ${this.subnet(0)} via 10.92.0.1`);
  }
}

function execIn(namespace: string): Prefix {
  return ["ip", "netns", "exec", namespace];
}

// IPv6 is off so that a port at rest counts no neighbour discovery.
async function addNamespace(name: string): Promise<void> {
  await ip(`netns add ${name}`);
  await run(`ip netns exec ${name} sysctl -qw net.ipv6.conf.all.disable_ipv6=1`);
  await run(`ip netns exec ${name} sysctl -qw net.ipv6.conf.default.disable_ipv6=1`);
  await ip(`-n ${name} link set lo up`);
}

async function addBridge(namespace: string): Promise<void> {
  await ip(`-n ${namespace} link add br0 type bridge`);
  await ip(`-n ${namespace} link set br0 up`);
}

// Offloads would let the kernel count one frame of 64 KB where a wire carries 45, and skip headers.
async function wire(
  firstSpace: string,
  firstPort: string,
  secondSpace: string,
  secondPort: string,
): Promise<void> {
  const peer = `type veth peer name ${secondPort} netns ${secondSpace}`;
  await ip(`-n ${firstSpace} link add ${firstPort} ${peer}`);
  const ends = [
    [firstSpace, firstPort],
    [secondSpace, secondPort],
  ] as const;
  for (const [namespace, port] of ends) {
    await ip(`-n ${namespace} link set ${port} up`);
    await outputOf("ip", ["netns", "exec", namespace, "ethtool", "-K", port, ...OFFLOADS]).catch(
      () => undefined, // ethtool is optional: without it the figures are a little too kind.
    );
  }
}

async function limit(namespace: string, port: string, rate: string): Promise<void> {
  const shape = `tbf rate ${rate} burst 128kb latency 100ms`;
  await run(`tc -n ${namespace} qdisc replace dev ${port} root ${shape}`);
}

async function portBytes(namespace: string, port: string): Promise<PortBytes> {
  const text = await ip(`-n ${namespace} -s -j link show ${port}`);
  const [link] = JSON.parse(text) as readonly {
    stats64: { rx: { bytes: number }; tx: { bytes: number } };
  }[];
  if (link === undefined) throw new Error(`no port ${port} in ${namespace}`);
  return { down: link.stats64.rx.bytes, up: link.stats64.tx.bytes };
}

async function ip(words: string): Promise<string> {
  return run(`ip ${words}`);
}

// All words are names and numbers made in this file; none holds a space.
async function run(command: string): Promise<string> {
  const [file = "", ...args] = command.split(" ");
  const result = await outputOf(file, args);
  if (result.exitCode !== 0) throw new Error(`${command}: ${result.stderr.trim()}`);
  return result.stdout;
}

function killQuietly(pid: string): void {
  try {
    process.kill(Number(pid), "SIGKILL");
  } catch {
    // The process ended between the listing and the signal.
  }
}
