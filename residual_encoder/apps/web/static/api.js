// Requests to the page's own server.

export class Failure extends Error {
  // `status` is that of the server's answer, if there was one.
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const RETRIES = 20; // while the server has too many visitors; films wait longer than that
const PAUSE = 1500; // milliseconds

async function asked(url, options, retries = RETRIES) {
  for (let tries = 0; ; tries += 1) {
    let answer;
    try {
      answer = await fetch(url, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failure("The server of this page does not answer. Does it still run?");
    }
    if (answer.ok) return answer;
    if (answer.status === 503 && tries < retries) {
      await new Promise((wake) => setTimeout(wake, PAUSE));
      continue;
    }
    const body = await answer.json().catch(() => ({}));
    throw new Failure(body.error || `The server answered ${answer.status}.`, answer.status);
  }
}

export const read = async (url) => (await asked(url)).json();
export const send = async (url, body) =>
  (await asked(url, { method: "POST", body: JSON.stringify(body ?? {}) })).json();
const given = async (url, file, retries) =>
  (await asked(`${url}?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file }, retries)).json();
export const give = (file) => given("api/pictures", file);
// Asks first, so that a film is not sent for nothing.
export async function giveFilm(file) {
  await asked("api/films", {}, 0);
  return given("api/films", file, 0);
}
export const exists = (url) => fetch(url, { method: "HEAD" }).then((answer) => answer.ok, () => false);
export const remove = (url) => asked(url, { method: "DELETE" }).catch(() => {});

// A picture of the server as an address for <img>.
export async function picture(url, body, signal) {
  const options = body ? { method: "POST", body: JSON.stringify(body), signal } : { signal };
  return URL.createObjectURL(await (await asked(url, options)).blob());
}

export function download(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}
