/**
 * The first step of a fleet: keys, signed roots, the data folder and the first operator token. The offline
 * keys go to an encrypted file elsewhere: the data folder alone can publish nothing (trust 5, level 1).
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, realpath, rm } from "node:fs/promises";
import path from "node:path";
import { DeployError } from "../protocol/errors.ts";
import { fleetPin } from "../protocol/join-token.ts";
import { dataLayout, writePrivateFile } from "./data-layout.ts";
import { operatorText } from "./operator-file.ts";
import { catalogChanges, digestOf } from "./store/catalog-shelf.ts";
import { openLevelStore } from "./store/level-store.ts";
import { setRecord } from "./store/records.ts";
import { TABLES } from "./store/tables.ts";
import { onlineKeysText } from "./trust/fleet-keys.ts";
import { initTrust, type FleetTrust } from "./trust/init-trust.ts";
import { writeKeyFile } from "./trust/key-file.ts";
import { makeTlsCertificate } from "./trust/tls-certificate.ts";

export interface InitInput {
  readonly dataDir: string;
  /** Default: `<configHome>/branchline/keys/<fleet>.json`. */
  readonly keysPath?: string;
  readonly passphrase: string;
  /** Names and addresses for the certificate. */
  readonly hosts: readonly string[];
  /** A proxy ends TLS with a certificate of its own: the fleet gets none. */
  readonly isBehindProxy?: boolean;
  readonly configHome: string;
  readonly nowMs: number;
}

export interface InitResult {
  readonly fleetId: string;
  /** Where the encrypted offline keys are. */
  readonly keysPath: string;
  readonly operatorToken: string;
  /** First 32 hexadecimal digits of the fleet description's digest, as join tokens carry it. */
  readonly pin: string;
}

/** Throws ALREADY_INITIALISED, KEYS_INSIDE_DATA or KEYFILE_EXISTS; then the folder is as it was. */
export async function initCoordinator(input: InitInput): Promise<InitResult> {
  const { dataDir, passphrase, hosts, configHome, nowMs } = input;
  const isNew = await requireEmpty(dataDir);
  const tls = input.isBehindProxy === true ? undefined : await makeTlsCertificate({ hosts, nowMs });
  const trust = initTrust({ nowMs, ...(tls === undefined ? {} : { tls }) });
  const fleetId = trust.fleet.fleet;
  const keysPath = path.resolve(
    input.keysPath ?? path.join(configHome, "branchline", "keys", `${fleetId}.json`),
  );
  await requireOutside(dataDir, keysPath);
  const operatorToken = `blop_${randomBytes(32).toString("hex")}`;
  try {
    await writeData(dataDir, trust, operatorToken, nowMs);
    await writeKeyFile(keysPath, trust.offline, passphrase);
  } catch (cause) {
    await removeData(dataDir, isNew);
    throw cause;
  }
  return { fleetId, keysPath, operatorToken, pin: fleetPin(trust.fleet) };
}

async function writeData(
  dataDir: string,
  { online, fleet, catalog }: FleetTrust,
  operatorToken: string,
  nowMs: number,
): Promise<void> {
  const layout = dataLayout(dataDir);
  for (const folder of [dataDir, layout.keys, layout.fragments, layout.manifests]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  await writePrivateFile(layout.onlineKeys, onlineKeysText(online));
  const tokenHash = digestOf(operatorToken);
  const store = await openLevelStore(layout.store);
  try {
    await store.commit({
      set: [
        ...catalogChanges(catalog),
        setRecord(TABLES.operators, tokenHash, { tokenHash, createdMs: nowMs }),
      ],
    });
  } finally {
    await store.close();
  }
  await writePrivateFile(layout.operator, operatorText({ token: operatorToken, fleet }));
  // Last: a folder with a fleet.json is a whole one.
  await writePrivateFile(layout.fleet, `${JSON.stringify(fleet)}\n`);
}

/** Whether the folder is to be made. */
async function requireEmpty(dataDir: string): Promise<boolean> {
  try {
    if ((await readdir(dataDir)).length === 0) return false;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return true;
    throw error;
  }
  throw new DeployError("ALREADY_INITIALISED", { folder: dataDir });
}

async function requireOutside(dataDir: string, keysPath: string): Promise<void> {
  const inside = path.relative(await realPlace(dataDir), await realPlace(keysPath));
  const isInside =
    inside !== ".." && !inside.startsWith(`..${path.sep}`) && !path.isAbsolute(inside);
  if (isInside) throw new DeployError("KEYS_INSIDE_DATA", { path: keysPath });
}

/** The place with links resolved, as far as it exists. */
async function realPlace(place: string): Promise<string> {
  const whole = path.resolve(place);
  try {
    return await realpath(whole);
  } catch (error) {
    const parent = path.dirname(whole);
    const isAbsent = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (!isAbsent || parent === whole) throw error;
    return path.join(await realPlace(parent), path.basename(whole));
  }
}

async function removeData(dataDir: string, isNew: boolean): Promise<void> {
  if (isNew) {
    await rm(dataDir, { recursive: true, force: true });
    return;
  }
  const { store, fragments, manifests, keys, fleet, operator } = dataLayout(dataDir);
  for (const place of [store, fragments, manifests, keys, fleet, operator])
    await rm(place, { recursive: true, force: true });
}
