import { readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  makeFleetKeys,
  onlineKeysText,
  parseOnlineKeys,
} from "../../../coordinator/trust/fleet-keys.ts";
import { readKeyFile, writeKeyFile } from "../../../coordinator/trust/key-file.ts";
import { tempDir } from "./fleet-fixture.ts";

// Each derivation is slow on purpose.
describe("the key file", { timeout: 20_000 }, () => {
  it("gives back the offline keys for the passphrase alone, is private and holds no key in clear", async () => {
    await using dir = await tempDir();
    const path = join(dir.path, "deep", "fleet.json");
    const { offline } = makeFleetKeys();

    await writeKeyFile(path, offline, "correct horse");

    expect(await readKeyFile(path, "correct horse")).toEqual(offline);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(dir.path, "deep"))).toEqual(["fleet.json"]);
    const text = await readFile(path, "utf8");
    expect(text).not.toContain(offline.root);
    expect(text).not.toContain(offline.publisher);
    await expect(readKeyFile(path, "wrong horse")).rejects.toMatchObject({
      code: "KEYFILE_PASSPHRASE",
      message: expect.stringContaining("passphrase does not open") as unknown,
    });
  });

  it("never replaces a file, and says so when there is none", async () => {
    await using dir = await tempDir();
    const path = join(dir.path, "fleet.json");
    await writeFile(path, "mine");

    await expect(writeKeyFile(path, makeFleetKeys().offline, "p")).rejects.toMatchObject({
      code: "KEYFILE_EXISTS",
    });
    expect(await readFile(path, "utf8")).toBe("mine");
    await expect(readKeyFile(join(dir.path, "none"), "p")).rejects.toMatchObject({
      code: "KEYFILE_MISSING",
    });
  });

  it("refuses altered content and parameters out of bounds", async () => {
    await using dir = await tempDir();
    const path = join(dir.path, "fleet.json");
    await writeKeyFile(path, makeFleetKeys().offline, "p");
    const file = JSON.parse(await readFile(path, "utf8")) as { sealed: string; header: object };
    const sealed = (file.sealed.startsWith("00") ? "01" : "00") + file.sealed.slice(2);
    const changes = [
      [{ ...file, sealed }, "KEYFILE_PASSPHRASE"],
      [{ ...file, header: { ...file.header, passes: 1 } }, "KEYFILE_PASSPHRASE"],
      [{ ...file, header: { ...file.header, memoryKib: 8 } }, "DOCUMENT_INVALID"],
      [{ ...file, header: { ...file.header, memoryKib: 2 ** 31 } }, "DOCUMENT_INVALID"],
      [{ ...file, header: { ...file.header, passes: 1e6 } }, "DOCUMENT_INVALID"],
      [{ ...file, tag: "00" }, "DOCUMENT_INVALID"],
    ] as const;
    for (const [changed, code] of changes) {
      await writeFile(path, JSON.stringify(changed));
      await expect(readKeyFile(path, "p")).rejects.toMatchObject({ code });
    }
  });
});

describe("the online keys", () => {
  it("come back from their file, and nothing malformed does", () => {
    const { online } = makeFleetKeys();

    expect(parseOnlineKeys(onlineKeysText(online))).toEqual(online);
    expect(() => parseOnlineKeys(JSON.stringify({ ...online, director: "00" }))).toThrow(
      expect.objectContaining({ code: "DOCUMENT_INVALID" }),
    );
  });

  it("are new for every fleet and differ from each other, E10", () => {
    const { offline, online } = makeFleetKeys();
    const secrets = [...Object.values(offline), ...Object.values(online)];
    const others = Object.values(makeFleetKeys().online).filter((value) => value !== 1);

    expect(new Set(secrets).size).toBe(secrets.length);
    expect(others.some((value) => secrets.includes(value))).toBe(false);
  });
});
