/// Ordinary text of several kinds, on which a model's massive dimensions are found when no texts are given.
enum SampleTexts {
  static let all = [
    "The ferry left the island shortly after six, when the fog had thinned enough to show the far bank. Most of the "
      + "passengers stood on the upper deck with their collars turned up and said little.",
    "To make the dough, mix five hundred grams of flour with a teaspoon of salt, add the yeast and three hundred "
      + "millilitres of warm water, and knead for ten minutes. Leave it covered until it has doubled in size.",
    "Question: Why does the moon always show us the same face?\nAnswer: Because it turns once around its own axis in the "
      + "time it takes to go once around the Earth. Tides slowed its rotation until the two matched.",
    "def mean(values):\n    total = 0.0\n    for value in values:\n        total += value\n    return total / len(values)\n",
    "The committee met on 14 March 2019 and approved the budget of 2.4 million by nine votes to three. Members asked for "
      + "a report on road repairs before the next session.",
    "\"You never told me you could play,\" she said. He shrugged and closed the lid of the piano. \"You never asked. "
      + "Besides, my sister was the one with talent.\"",
    "Photosynthesis turns carbon dioxide and water into sugar and oxygen with the energy of light. In plants it takes "
      + "place in the chloroplasts, whose membranes hold the pigment chlorophyll.",
    "Dear Ms Okafor, thank you for your letter of last week. I am pleased to confirm your place on the course, which "
      + "begins on Monday. Please bring your passport and two photographs. Kind regards, Admissions.",
    "How do I remove a coffee stain from a cotton shirt? Rinse it with cold water first, then rub a little washing-up "
      + "liquid into the mark and leave it for a quarter of an hour before washing.",
    "Prices rose by 0.3 percent in May after falling in April, the statistics office said on Friday. Economists had "
      + "expected no change. Energy became cheaper while food and rents went up.",
    "Let x be a real number with x > 1. Then the sum 1 + 1/x + 1/x^2 + ... converges to x / (x - 1), which follows from "
      + "multiplying the partial sums by 1 - 1/x.",
    "Die Bibliothek ist montags geschlossen. Il faut apporter une carte d'identité. El tren sale a las ocho y media.",
  ]
}
