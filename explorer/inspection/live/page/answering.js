// From raw scores to answers, as explorer.models.outputs does: one class of several, yes or no, several, or numbers.

// The weights whose scalar product with the raw scores is the score of one answer.
function weightsFor({ labels, outputs }, index) {
  if (outputs.kind === "yes/no") return Float32Array.of(index === 1 ? 1 : -1);
  const weights = new Float32Array(labels.length);
  weights[index] = 1;
  return weights;
}

const percentOf = (share) => (Number.isNaN(share) ? "not a number" : `${(100 * share).toFixed(1)} %`);
function numberText(value) {                             // four digits, as Python's ".4g"
  if (Number.isNaN(value)) return "not a number";
  const bare = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  const [digits, power] = value.toExponential(3).split("e");
  if (Number(power) >= -4 && Number(power) < 4) return bare(value.toPrecision(4));
  return `${bare(digits)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
}

// All answers, [{ index, label, share, value }], the likeliest first; numbers as they come, without a share.
function answersOf({ labels, outputs }, head, result) {
  if (!head && !labels.length) return [];                // a network without classes has an embedding, and no scores
  if (!head && outputs.kind === "numbers")
    return labels.map((label, index) => ({ index, label, share: null, value: numberText(result.shares[index]) }));
  const names = head?.labels ?? labels, shares = head ? head.shares(result.embedding) : result.shares;
  const yesNo = outputs.kind === "yes/no" && !head, order = head ? shares : yesNo ? [-result.logits[0], result.logits[0]] : result.logits;
  return Array.from(shares, (share, index) => ({ index, label: names[index], share, value: percentOf(share) }))
    .sort((a, b) => order[b.index] - order[a.index] || a.index - b.index);
}
