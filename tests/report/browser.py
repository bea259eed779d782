#!/usr/bin/env python3
"""browser.py PAGE [WIDTH:PICTURE ...]: opens PAGE in headless Chromium, once per width in CSS pixels, and takes a picture of all of it.

The page must stand for itself. Told and counted, one line each: requests to anything but the page and what is inlined, errors and
uncaught exceptions of scripts, dialogs, pictures that cannot be decoded, a page wider than the window, text that does not fit in
its place, elements of hostile names that became elements. Exit code 0: none; 1: some; 77: no Chromium here.
"""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")

# What a page says about itself, in the page.
LOOK = """(async () => {
  const pictures = [...document.images], broken = [];
  for (const picture of pictures)
    try { await picture.decode(); if (!picture.naturalWidth) throw 0; } catch { broken.push(picture.alt || picture.src.slice(0, 40)); }
  const wide = [...document.body.querySelectorAll('*')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !e.closest('.wide, pre');
  }).map(e => e.tagName + '.' + e.className);
  return {pictures: pictures.length, broken, wide: [...new Set(wide)], scroll: document.documentElement.scrollWidth,
          inner: innerWidth, height: document.documentElement.scrollHeight, hacked: !!window.hacked, title: document.title,
          scripts: document.scripts.length, text: document.body.innerText.length,
          handlers: [...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length};
})()"""


class Browser:
    """The DevTools protocol over pipes: messages of JSON, each ended by a zero byte."""

    def __init__(self, program, folder):
        there, write = os.pipe()
        read, back = os.pipe()
        self.to, self.come, self.number, self.events, self.rest = write, read, 0, [], b""

        def descriptors():
            os.dup2(there, 103), os.dup2(back, 104)
            os.dup2(103, 3), os.dup2(104, 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"],
            preexec_fn=descriptors, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_CACHE_HOME": folder})
        os.close(there), os.close(back)
        self.session = None

    def receive(self):
        while b"\0" not in self.rest:
            more = os.read(self.come, 1 << 16)
            if not more:
                raise RuntimeError("Chromium has ended")
            self.rest += more
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())

    def open(self, address, width):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600)
        self.events = []
        self.call("Page.navigate", url=address)
        self.wait_for("Page.loadEventFired")
        answer = self.call("Runtime.evaluate", expression=LOOK, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value") or {"failed": answer}

    def picture(self, path, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))

    def leave(self):
        target = self.call("Target.getTargetInfo")["targetInfo"]["targetId"]
        self.session = None
        self.call("Target.closeTarget", targetId=target)

    def close(self):
        self.process.terminate()
        self.process.wait(20)


def complaints(address, width, seen, events):
    """What is wrong with a page, one line each."""
    for event in events:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if url.split("#")[0] != address and not url.startswith("data:"):
                yield f"asks for {url[:100]}"
        elif method == "Runtime.exceptionThrown":
            yield "script: " + str(parameters["exceptionDetails"].get("text"))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            yield "log: " + parameters["entry"]["text"]
        elif method == "Page.javascriptDialogOpening":
            yield "opens a dialog: " + parameters["message"]
    if "failed" in seen:
        yield f"cannot be looked at: {seen['failed']}"
        return
    if seen["scroll"] > width:
        yield f"is {seen['scroll']} pixels wide"
    if seen["wide"]:
        yield f"reaches beyond the window: {', '.join(seen['wide'][:5])}"
    for name in seen["broken"]:
        yield f"picture cannot be decoded: {name}"
    if seen["hacked"] or seen["scripts"] or seen["handlers"]:
        yield f"holds {seen['scripts']} scripts, {seen['handlers']} handlers of events; one ran: {seen['hacked']}"
    if not seen["text"]:
        yield "is empty"


def main():
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if not program:
        print("no Chromium here: skipped")
        return 77
    address = pathlib.Path(sys.argv[1]).resolve().as_uri()
    failures = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(program, folder)
        try:
            for wish in sys.argv[2:] or ["1280:", "390:"]:
                width, _, picture = wish.partition(":")
                seen = browser.open(address, int(width))
                found = list(complaints(address, int(width), seen, browser.events))
                for line in found:
                    print(f"FAILED: at {width} pixels: {line}")
                failures += len(found)
                print(f"{width} pixels: {seen.get('pictures')} pictures, {seen.get('height')} pixels high, title {seen.get('title')!r}")
                if picture:
                    browser.picture(picture, int(width), min(int(seen["height"]), 16000))
                browser.leave()
        finally:
            browser.close()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
