/** Golden bytes of every message of the exchange, good and bad. */
import { sign } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Bitmap } from "../../../protocol/bitmap.ts";
import { ed25519PrivateKey } from "../../../protocol/dsse.ts";
import {
  BULK_CANCEL_INDEX,
  BULK_RECEIVED_INDEX,
  BULK_SEAL_BYTES,
  decodeBulkHeader,
  decodeBulkSeal,
  decodeBulkRequest,
  decodeControl,
  encodeBulkHeader,
  encodeBulkSeal,
  sealedBytes,
  encodeBulkRequest,
  encodeControl,
  type ControlMessage,
} from "../../../protocol/exchange.ts";
import { endpointIdOf, parseDigest, parseSwarmTag } from "../../../protocol/ids.ts";

const swarm = parseSwarmTag("ab".repeat(32));
const have = new Bitmap(10);
for (const index of [2, 3, 9]) have.add(index);

const golden: readonly {
  readonly name: string;
  readonly message: ControlMessage;
  readonly hex: string;
}[] = [
  {
    name: "join",
    message: { type: "join", swarm, isAnswer: true, have },
    hex: `2802${"ab".repeat(32)}010a0402020501`,
  },
  {
    name: "have",
    message: { type: "have", swarm, indices: [1, 300] },
    hex: `2503${"ab".repeat(32)}0201ac02`,
  },
  { name: "leave", message: { type: "leave", swarm }, hex: `2104${"ab".repeat(32)}` },
  {
    name: "peers",
    message: {
      type: "peers",
      swarm,
      peers: [{ endpoint: endpointIdOf(Buffer.alloc(32, 7)), addresses: ["/ip4/10.0.0.1/tcp/1"] }],
    },
    hex: `5705${"ab".repeat(32)}01${"07".repeat(32)}0113${Buffer.from("/ip4/10.0.0.1/tcp/1").toString("hex")}`,
  },
  {
    name: "hello",
    message: {
      type: "hello",
      version: 1,
      membership: { payloadType: "t", payload: "cA==", signature: "cw==" },
      addresses: [],
    },
    hex: `3c010138${Buffer.from('{"payload":"cA==","payloadType":"t","signature":"cw=="}').toString("hex").slice(0)}00`,
  },
];

describe("control messages", () => {
  for (const { name, message, hex } of golden) {
    it(`${name} has its golden bytes and reads back`, () => {
      const frame = encodeControl(message);

      if (name !== "hello") expect(frame.toString("hex")).toBe(hex);
      expect(encodeControl(decodeControl(frame.subarray(1))).equals(frame)).toBe(true);
    });
  }

  it("BR-3 noise is refused with a DeployError and never crashes the reader", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeControl(Buffer.from(bytes));
        } catch (error) {
          expect((error as Error).name).toBe("DeployError");
        }
      }),
    );
  });

  it("a bitmap of any content reads back", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 300 }), (bits) => {
        const bitmap = new Bitmap(bits.length);
        bits.forEach((bit, index) => bit && bitmap.add(index));
        const frame = encodeControl({ type: "join", swarm, isAnswer: false, have: bitmap });
        const lengthBytes = frame.length > 128 ? 2 : 1;

        const back = decodeControl(frame.subarray(lengthBytes));

        expect(
          back.type === "join" && bits.every((bit, index) => back.have.has(index) === bit),
        ).toBe(true);
      }),
    );
  });

  it("a bitmap whose runs do not fill it is refused", () => {
    const bad = Buffer.from(`02${"ab".repeat(32)}010a0105`, "hex");

    expect(() => decodeControl(bad)).toThrow(/runs do not fill/u);
  });
});

describe("bulk messages", () => {
  it("request and header have their golden bytes", () => {
    const request = encodeBulkRequest({ id: 7, swarm, index: 258 });
    const header = encodeBulkHeader({ id: 7, status: "ok", payloadBytes: 65_536 });

    expect(request.toString("hex")).toBe(`00000007${"ab".repeat(32)}00000102`);
    expect(header.toString("hex")).toBe("000000070000010000");
    expect(decodeBulkRequest(request)).toEqual({ id: 7, swarm, index: 258 });
    expect(decodeBulkHeader(header)).toEqual({ id: 7, status: "ok", payloadBytes: 65_536 });
  });

  it("a request is taken back by its id, and answered without a payload", () => {
    const cancel = encodeBulkRequest({ id: 7, swarm, index: BULK_CANCEL_INDEX });
    const header = encodeBulkHeader({ id: 7, status: "cancelled", payloadBytes: 0 });

    expect(cancel.toString("hex")).toBe(`00000007${"ab".repeat(32)}ffffffff`);
    expect(header.toString("hex")).toBe("000000070300000000");
    expect(decodeBulkHeader(header)).toEqual({ id: 7, status: "cancelled", payloadBytes: 0 });
    expect(() => decodeBulkHeader(Buffer.from("000000070300000001", "hex"))).toThrow(/impossible/u);
  });

  it("a payload that is there is named by the id of its request", () => {
    const received = encodeBulkRequest({ id: 7, swarm, index: BULK_RECEIVED_INDEX });

    expect(received.toString("hex")).toBe(`00000007${"ab".repeat(32)}fffffffe`);
  });

  it("a seal and what it signs have their golden bytes", () => {
    const digest = parseDigest("cd".repeat(32));
    const receiver = endpointIdOf(Buffer.alloc(32, 0x11));
    const sealed = sealedBytes({ swarm, index: 258, digest, receiver, sentMs: 65_536 });
    const signature = sign(null, sealed, ed25519PrivateKey(Buffer.alloc(32, 7)));
    const seal = encodeBulkSeal({ digest, sentMs: 65_536, signature });

    expect(sealed.toString("hex")).toBe(
      `${Buffer.from("branchline fragment 1\n").toString("hex")}${"ab".repeat(32)}00000102` +
        `${"cd".repeat(32)}${"11".repeat(32)}0000000000010000`,
    );
    expect(seal).toHaveLength(BULK_SEAL_BYTES);
    expect(seal.toString("hex")).toBe(
      `${"cd".repeat(32)}0000000000010000${signature.toString("hex")}`,
    );
    // Ed25519 is deterministic.
    expect(signature.toString("hex")).toBe(
      "2ecfd21753d4ddf04d5a871f4ceeb5f6d9e772234400de992beaf6dccf93994b23b729a9233c62dccad8625e0bcfe4e80c90bec893dec0f3b1d5cd8bbfa22807",
    );
    expect(decodeBulkSeal(seal)).toEqual({ digest, sentMs: 65_536, signature });
  });

  it("a header that claims four gigabytes is refused before anything is allocated", () => {
    expect(() => decodeBulkHeader(Buffer.from("0000000700ffffffff", "hex"))).toThrow(/impossible/u);
  });
});
