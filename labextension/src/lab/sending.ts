// A request with a file that says how far it is: fetch tells nothing of what it has sent, XMLHttpRequest does.

/** As fetch, for a request of Jupyter's own making with its token and cookies. `onSent` hears the bytes sent so far. */
export const sending =
  (file: Blob, onSent: (bytes: number) => void): typeof fetch =>
  asked =>
    new Promise((resolve, reject) => {
      const request = asked as Request;
      const sender = new XMLHttpRequest();
      const give = () => sender.abort();
      sender.open(request.method, request.url);
      request.headers.forEach((value, name) => sender.setRequestHeader(name, value));
      sender.responseType = 'blob';
      sender.upload.onprogress = ({ loaded }) => onSent(Math.min(loaded, file.size));
      sender.onload = () =>
        resolve(
          new Response(sender.status === 204 ? null : (sender.response as Blob), { status: sender.status }),
        );
      sender.onerror = () => reject(new TypeError('The connection broke.'));
      sender.onabort = () => reject(new DOMException('It was given up.', 'AbortError'));
      sender.onloadend = () => request.signal.removeEventListener('abort', give);
      if (request.signal.aborted) return sender.onabort(new ProgressEvent('abort'));
      request.signal.addEventListener('abort', give);
      sender.send(file);
    });
