import { appendFile, cp, readFile, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Level } from "level";
import { describe, expect, it } from "vitest";
import { TrustStore } from "../../../node/trust/trust-store.ts";
import { FleetFixture, codeOf, manifestOf, shown, tempDir } from "./fleet-fixture.ts";

const damaged = { code: "TRUST_STORE_DAMAGED" };

async function filledStore(path: string): Promise<unknown> {
  const fleet = new FleetFixture();
  const app = manifestOf("app", "1.0.0");
  fleet.publish(app);
  await using store = await TrustStore.open(path);
  await store.pin(fleet.trust.fleet);
  expect(codeOf(await fleet.accept(store, fleet.answer([app])))).toBe("accepted");
  return shown(store);
}

describe("a trust store that lost something refuses to start, M6", () => {
  it("refuses when its database is gone, instead of starting empty", async () => {
    await using dir = await tempDir();
    await filledStore(dir.path);

    await rm(join(dir.path, "db"), { recursive: true });

    await expect(TrustStore.open(dir.path)).rejects.toMatchObject(damaged);
  });

  it("refuses when its database is replaced by an empty one", async () => {
    await using dir = await tempDir();
    await filledStore(dir.path);
    await rm(join(dir.path, "db"), { recursive: true });
    await new Level(join(dir.path, "db")).close();

    await expect(TrustStore.open(dir.path)).rejects.toMatchObject(damaged);
  });

  it("refuses an older copy of its database", async () => {
    await using dir = await tempDir();
    const fleet = new FleetFixture();
    const store = await TrustStore.open(dir.path);
    await store.pin(fleet.trust.fleet);
    await store.close();
    await cp(join(dir.path, "db"), join(dir.path, "old"), { recursive: true });
    await using again = await TrustStore.open(dir.path);
    await fleet.accept(again, fleet.answer([]));
    await again.close();

    await rm(join(dir.path, "db"), { recursive: true });
    await cp(join(dir.path, "old"), join(dir.path, "db"), { recursive: true });

    await expect(TrustStore.open(dir.path)).rejects.toMatchObject(damaged);
  });

  it("either refuses or shows exactly what it held, wherever a log file is cut", async () => {
    await using dir = await tempDir();
    const before = await filledStore(dir.path);
    const logs = (await readdir(join(dir.path, "db"))).filter((name) => name.endsWith(".log"));
    expect(logs.length).toBeGreaterThan(0);
    const path = join(dir.path, "db", logs.at(-1)!);
    const { length } = await readFile(path);
    await cp(dir.path, `${dir.path}-whole`, { recursive: true });

    for (let cut = 0; cut < length; cut += Math.ceil(length / 12)) {
      await rm(dir.path, { recursive: true });
      await cp(`${dir.path}-whole`, dir.path, { recursive: true });
      await truncate(path, cut);
      const opened = await TrustStore.open(dir.path).catch((error: unknown) => error);
      if (opened instanceof TrustStore) {
        expect(shown(opened)).toEqual(before);
        await opened.close();
      } else expect(opened).toMatchObject(damaged);
    }
    await rm(`${dir.path}-whole`, { recursive: true });
  });

  it.each(["fleet", "director", "catalog", "floors", "roster", "membership", "generation"])(
    "refuses when the record %s is altered or missing",
    async (key) => {
      await using dir = await tempDir();
      await filledStore(dir.path);
      const level = new Level(join(dir.path, "db"));
      const value: string = await level.get(key);
      await level.put(
        key,
        value.replace(/[0-9](?=[^0-9]*$)/u, (digit) => (digit === "7" ? "8" : "7")),
      );
      await level.close();

      await expect(TrustStore.open(dir.path)).rejects.toMatchObject(damaged);

      const again = new Level(join(dir.path, "db"));
      await again.del(key);
      await again.close();
      await expect(TrustStore.open(dir.path)).rejects.toMatchObject(damaged);
    },
  );

  it("refuses a generation file that says nothing", async () => {
    await using dir = await tempDir();
    await filledStore(dir.path);
    await writeFile(join(dir.path, "generation"), "");

    await expect(TrustStore.open(dir.path)).rejects.toMatchObject(damaged);
  });

  it("opens again after a kill between the database and the generation file", async () => {
    await using dir = await tempDir();
    const before = await filledStore(dir.path);
    await writeFile(join(dir.path, "generation"), "1\n");
    await appendFile(join(dir.path, "generation.tmp"), "half");

    await using store = await TrustStore.open(dir.path);

    expect(shown(store)).toEqual(before);
  });
});
