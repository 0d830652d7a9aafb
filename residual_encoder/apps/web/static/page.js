() => {
  // Drop and paste anywhere on the page, by way of the upload button's own file input.
  const give = (event, files) => {
    const input = document.querySelector("#picture").parentElement
      .querySelector("input[type=file]");
    if (!files || !files.length || !input) return;
    event.preventDefault();
    const one = new DataTransfer();
    one.items.add(files[0]);
    input.files = one.files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
  };
  const mark = (on) => document.body.classList.toggle("dragging", on);
  addEventListener("paste", (event) => give(event, event.clipboardData.files));
  addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
  addEventListener("dragleave", () => mark(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    give(event, event.dataTransfer.files);
  });
  document.querySelector("#status").setAttribute("aria-live", "polite");

  // A link that is clicked at once: the file is made only when it is asked for.
  window.saveFile = (file) => {
    if (!file) return;
    const link = document.createElement("a");
    link.href = file.url;
    link.download = file.orig_name;
    link.click();
  };
}
