/* The part of maildev's interface that mail.ts uses; the package brings no types. */
declare module "maildev" {
  export interface Mail {
    id: string;
    time: string | Date;
  }
  export interface MailDev {
    store: Mail[];
    listen(): Promise<void>;
    close(done: () => void): void;
    on(event: "new", listener: (mail: Mail) => void): void;
    deleteEmail(id: string, done: (error: Error | null) => void): void;
  }
  interface Options {
    smtp: number;
    web: number;
    ip: string;
    mailDirectory: string;
    silent: boolean;
  }
  function start(options: Options): MailDev;

  // biome-ignore lint/style/noDefaultExport: it is what the package exports
  export { start as default };
}
