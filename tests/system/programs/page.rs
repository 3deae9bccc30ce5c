//! A report in Chromium: wide and narrow, light, dark and printed. The pictures are kept.

use crate::needs::needs;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A script for the page in the browser. It lists parts that stick out, and parts without a name.
const ASK: &str = r#"<script>
addEventListener("load", () => {
  const wrong = [], root = document.documentElement;
  if (root.scrollWidth > innerWidth) wrong.push("the page is " + root.scrollWidth + " wide");
  const seen = it => it.getClientRects().length > 0;
  for (const svg of document.querySelectorAll("figure div svg")) {
    const frame = svg.viewBox.baseVal;
    if (!svg.getAttribute("aria-label") || !svg.querySelector("title")) wrong.push("no name");
    for (const text of [...svg.querySelectorAll("text")].filter(seen)) {
      const box = text.getBBox();
      const bottom = frame.y + frame.height + 1;
      if (box.x < -1 || box.x + box.width > frame.width + 1 || box.y < frame.y - 1 ||
          box.y + box.height > bottom) wrong.push("cropped: " + text.textContent);
    }
  }
  for (const plot of document.querySelectorAll(".plot"))
    for (const part of [...plot.querySelectorAll("path, circle, text")].filter(seen))
      if (part.getBoundingClientRect().right > plot.getBoundingClientRect().right + 1)
        wrong.push("sticks out of its plot: " + part.outerHTML.slice(0, 60));
  for (const box of document.querySelectorAll(".wide"))
    if (box.scrollWidth > box.clientWidth && box.tabIndex < 0) wrong.push("no keyboard");
  const series = document.querySelectorAll("div path.thick").length;
  const labels = [...document.querySelectorAll("div text.s, .key span")].filter(seen).length;
  if (labels < series) wrong.push(series + " series and " + labels + " labels");
  root.setAttribute("data-checked", wrong.join("; ") || "nothing wrong");
});
</script>"#;

/// Looks at the page. A report with scripts would be another one, so its copy is asked.
pub(super) fn look(page: &Path) {
    needs(&["chromium"]);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-page");
    fs::create_dir_all(&kept).unwrap();
    let report = kept.join("report.html");
    fs::copy(page, &report).unwrap();
    let asked = kept.join("asked.html");
    fs::write(&asked, fs::read_to_string(page).unwrap() + ASK).unwrap();
    for width in [1_200, 390] {
        // A window of Chromium has at least 500 pixels: a frame has any.
        let frame = |of: &Path| {
            let file = kept.join("frame.html");
            let name = of.file_name().unwrap().to_str().unwrap();
            let style = format!("border:0;width:{width}px;height:12000px;display:block");
            let html = format!("<body style=\"margin:0\"><iframe src={name} style=\"{style}\">");
            fs::write(&file, html).unwrap();
            file
        };
        for (scheme, number) in [("light", 1), ("dark", 0)] {
            let picture = kept.join(format!("{width}-{scheme}.png"));
            let setting = format!("--blink-settings=preferredColorScheme={number}");
            let window = format!("--window-size={},6000", width.max(500));
            let shot = format!("--screenshot={}", picture.display());
            chromium(&[&setting, &window, &shot], &frame(&report));
            assert!(fs::metadata(&picture).unwrap().len() > 20_000, "{}", picture.display());
            println!("kept: {}", picture.display());
        }
        let window = format!("--window-size={width},2000");
        let dom = chromium(&[&window, "--dump-dom"], &asked);
        assert!(dom.contains("data-checked=\"nothing wrong\""), "{width}: {}", verdict(&dom));
    }
    let printed = kept.join("printed.pdf");
    chromium(&[&format!("--print-to-pdf={}", printed.display())], &report);
    assert!(fs::read(&printed).unwrap().starts_with(b"%PDF"), "{}", printed.display());
    println!("kept: {}", printed.display());
}

fn verdict(dom: &str) -> &str {
    dom.split_once("data-checked=\"").and_then(|it| it.1.split('"').next()).unwrap_or("no answer")
}

fn chromium(arguments: &[&str], page: &Path) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .arg("--allow-file-access-from-files")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
