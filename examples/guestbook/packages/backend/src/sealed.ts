import { createCipheriv, createDecipheriv, randomBytes, type ScryptOptions, scrypt } from "node:crypto";

const cost: ScryptOptions = { N: 16_384, r: 8, p: 1 };

/** Encrypts a text with AES-256-GCM under a key made from the secret; the same text never gives the same result twice. */
export async function seal(text: string, secret: string): Promise<string> {
  const salt = randomBytes(16);
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", await keyOf(secret, salt), iv);
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return [salt, iv, cipher.getAuthTag(), sealed].map((part) => part.toString("base64url")).join(".");
}

/** Gives back a sealed text. Throws when the secret is another one, or when a single bit was changed. */
export async function unseal(sealed: string, secret: string): Promise<string> {
  const [salt, iv, tag, text] = sealed.split(".").map((part) => Buffer.from(part, "base64url"));
  if (!salt || !iv || !tag || !text) throw new Error("This is not a sealed text.");
  const decipher = createDecipheriv("aes-256-gcm", await keyOf(secret, salt), iv, { authTagLength: 16 });
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(text), decipher.final()]).toString("utf8");
  } catch (cause) {
    throw new Error("It was encrypted with another secret, or changed since.", { cause });
  }
}

const keyOf = (secret: string, salt: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    scrypt(secret, salt, 32, cost, (error, key) => (error ? reject(error) : resolve(key)));
  });
