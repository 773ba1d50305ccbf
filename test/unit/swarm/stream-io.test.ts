/** Reads of exact length from libp2p streams, against a sender that does not wait. */
import { randomBytes } from "node:crypto";
import { streamPair } from "@libp2p/utils";
import { describe, expect, it } from "vitest";
import { Inbox, joined, takeFrame } from "../../../node/swarm/stream-io.ts";

const HIGH_BYTES = 1024;

describe("the inbox of a stream", () => {
  it("reads a message that is far longer than what may wait", async () => {
    const [sender, receiver] = await streamPair();
    const inbox = new Inbox(receiver, HIGH_BYTES);
    const sent = randomBytes(100 * HIGH_BYTES);

    const taken = inbox.take(sent.length);
    for (let at = 0; at < sent.length; at += HIGH_BYTES) {
      sender.send(sent.subarray(at, at + HIGH_BYTES));
    }

    expect(joined((await taken)!).equals(sent)).toBe(true);
  });

  it("stops the sender while nobody reads, and goes on when somebody does", async () => {
    const [sender, receiver] = await streamPair();
    const inbox = new Inbox(receiver, HIGH_BYTES);
    const sent = randomBytes(8 * HIGH_BYTES);
    for (let at = 0; at < sent.length; at += HIGH_BYTES) {
      sender.send(sent.subarray(at, at + HIGH_BYTES));
    }
    await settled();
    expect(receiver.readStatus).toBe("paused");

    const parts = [await inbox.take(3 * HIGH_BYTES), await inbox.take(5 * HIGH_BYTES)];

    expect(Buffer.concat(parts.map((part) => joined(part!))).equals(sent)).toBe(true);
  });

  it("tells a clean end from one inside a message", async () => {
    const [sender, receiver] = await streamPair();
    const inbox = new Inbox(receiver, HIGH_BYTES);
    sender.send(Buffer.from("abcdef"));
    await sender.close();

    expect(joined((await inbox.take(4))!).toString()).toBe("abcd");
    await expect(inbox.take(4)).rejects.toThrow("inside a message");
  });

  it("reads frames one by one, and an empty one too", async () => {
    const [sender, receiver] = await streamPair();
    const inbox = new Inbox(receiver, HIGH_BYTES);
    const long = randomBytes(300);
    sender.send(Buffer.concat([Buffer.of(0), Buffer.of(0xac, 0x02), long]));
    await sender.close();

    const frames = [await takeFrame(inbox, 300), await takeFrame(inbox, 300)];

    expect(frames).toEqual([Buffer.alloc(0), long]);
    expect(await takeFrame(inbox, 300)).toBeUndefined();
  });
});

/** Everything that is queued has happened. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
