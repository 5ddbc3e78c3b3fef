"""Languages of western Europe in which answers are read: one entry each, with its own cases.

Every entry is words and phrases as patterns: a blank is any white space, `{}` is where the option stands.
Adding a language is one entry here or in `language_table_more`; a test reads the cases of every entry.
"""

from __future__ import annotations

from pytest_llminvariance.measures.languages import Language

ENGLISH = Language(
    code="en",
    answer=r"(?:(?:the|my|your|our) )?(?:(?:most|only|one|single|overall|very) )*(?:(?:correct|right|best|final|proper|selected|chosen|predicted"
    r"|appropriate|accurate|suitable|fitting) )*(?:answer (?=choice|option)|multiple )?(?:answer|ans|choice|option"
    r"|selection|pick|response|solution|result|rating|score|letter|verdict|conclusion|(?:final|correct)(?=\s*:))(?: (?:to|for) (?:the|this|that|your)"
    r"(?: (?!previous|last|next|other|earlier|following)\w+)? (?:question|statement|item|problem)| here| (?:i|we) (?:choose|chose|pick|select|would choose))?",
    final="final",
    copula="is|would be|should be|must be|will be|has to be|remains",
    claims=(
        r"(?:i|we)(?:'d| would| will|'ll)?(?: have to| must| do)?(?: (?:personally|definitely|therefore|thus|still|now|also|rather|then))?"
        r" (?:choose|chose|pick|select|go with|go for|opt for|vote for|prefer|say|answer|meant?|think|believe) {}",
        r"(?:i am|i'm) (?:going for|choosing|picking|selecting) {}",
        r"(?:i|we)(?:'d| would| will|'ll)? (?:rate|give|score|put|place) (?:it|(?:this|the) (?:statement|item)|this|that|myself)(?: (?:as|at|an?|a solid))? {}",
        r"(?:it|this|that)(?:'s| is| must be| has to be| would be| should be) {}",
        r"(?:(?:that|this|which) leaves|leaving)(?: us with| me with| only)? {}",
        r"(?:we|i)(?:'re| are|'m| am) left with(?: only)? {}",
        r"(?:i am |i'm )?going with {}",
        r"(?:the|this) (?:statement|claim|assertion|sentence|sentiment|review|text|tweet|tone|class|category) is {option}",
        r"only {} (?:remains|is left)",
        r"{} it is",
        r"{}, final answer",
        r"(?:i would feel|i feel|i would|i'd|i'm|i am|i do|i) {option}"
        r"(?: (?:(?:with|about|that) [^,;:]*|to (?:it|the|this|that|these|those|such)\b[^,;:]*|it|this|that|them))?",
        r"{}, (?:i think|i believe|i would say|i'd say|of course|for sure|obviously|clearly|definitely|no doubt)",
        r"(?:my|the) guess is {}",
        r"the (?:right|correct|best|only) one is {}",
    ),
    correct=(
        r"{} (?:is|would be|must be|has to be)(?P<also> also)?(?: (?:clearly|definitely|indeed))?(?: (?:the|my))?"
        r"(?: (?:most|best|only|final))*(?: (?:correct|right|best))?(?: (?:answer|choice|option|one)|(?<=correct)|(?<=right))",
    ),
    lead=r"that|the|an?|options?|choice|answer|letter|number|label|clearly|definitely|simply|indeed|obviously|certainly|undoubtedly|absolutely",
    openers=r"sure|okay|ok|well|yes|of course|certainly|great question|here is|here's|i (?:think|believe|know|would say)(?: that)?"
    r"|i'd say(?: that)?|i am (?:sure|confident|certain)(?: that)?|i'm (?:sure|confident|certain)(?: that)?|in my opinion|in conclusion"
    r"|in short|clearly|undoubtedly|definitely|and|then|(?:(?:there is|there's|i have) )?no doubt(?: about it)?(?: that)?|by (?:process of )?elimination|if i (?:had|have|must|were forced) to (?:choose|pick|guess|decide|answer|say)(?: one)?"
    r"|i'm sorry|sorry|finally|we (?:know|see|conclude) that",
    conclusion="so|therefore|thus|hence|consequently|that means|which means",
    contrast="but|however|yet|though|although",
    reason=r"because|since|due to|given that|as (?:it|he|she|they|we|this|these|there|the)",
    joins="and/or|and|or",
    deny=r"not(?! only| the only)|\w+n't|no|nope|never|neither|nor|cannot|without|except(?: for)?|excluding|instead of|rather than|anything but"
    r"|everything but|all but|nothing but|far from|none|nobody|hardly|unable|exclud\w*|eliminat\w*|rul(?:e|es|ed|ing) out|ruled|reject\w*"
    r"|dismiss\w*|discard\w*|avoid\w*|skip\w*|cross(?:ed)? out|den(?:y|ies|ied)|least|unlike|other than|apart from|lacks?|fails?",
    wrong=r"wrong\w*|incorrect\w*|false\w*|untrue|mistaken\w*|mistakes?|worst|errors?|inaccurate|invalid|bad|trap|distractors?|a lie",
    doubt=r"maybe|perhaps|possibly|possible|probably|probable|likely|unlikely|might|may|could|can be|(?<!no\s)doubt\w*|unsure|uncertain\w*|unclear"
    r"|suppose|supposing|assum\w+|whether|unless|if|either|both|torn|not (?:\w+ )?(?:sure|certain)|cannot be sure|can't be sure|guess(?:es|ing)?"
    r"|seems?|appears?|between|tempt\w*|arguabl[ey]|hypothetical\w*|at first|considering|wonder\w*|depend\w*|questionable|imagine|pretend|\w+ or|had (?:you|it|this|that|we)|were (?:this|it|the question|we)",
    others=r"some|many|most(?: \w+)? (?:people|say|think|would)|others?|people|they|he|she|someone|somebody|everyone|everybody|users?|critics|experts"
    r"|students?|says|said|claim\w*|argu\w+|thinks|thought|believes|believed|according to(?! (?:the|this) (?:text|passage|context|article|document|information|question|given))|supposedly|allegedly|wrote|e\.g|for (?:example|instance)|examples?|formats?|formatted|samples?|templates?|such as",
    revise="no,? wait|wait,? no|but|wait|actually|however|instead|correction|rather|therefore|thus|hence|so|finally|no|sorry|oops|meant|edit|update"
    "|on (?:second thought|reflection)|upon reflection",
    retract=r"scratch that|strike that|never ?mind|(?:let me|let's|i should|i need to|i must|i have to) (?:reconsider|rethink|re-think|think again|start over|try again|correct (?:myself|that))"
    r"|i take (?:that|it) back|on second thoughts?|hold on|i was wrong|i made (?:a|an) (?:mistake|error)|i (?:misread|misspoke)|ignore (?:that|this|my)|disregard|i(?:'m| am) (?:not (?:\w+ )?(?:sure|certain)|unsure)|(?:i|that|this|it) (?:may|might|could) (?:well )?be (?:wrong|mistaken|incorrect)",
    concession="while|although|though|even though|whereas",
    refuse=r"as an? (?:\w+ )?(?:ai|artificial intelligence|(?:large )?language model|assistant)|sorry,? but"
    r"|i (?:can ?not|can't|could not|couldn't|won't|will not)(?: \w+ly)? (?:answer|help|assist|choose|select|pick|provide|say|tell|comply|give|do"
    r"|engage|respond|make|discuss|take|offer|express|share|decide|judge)|i(?: am|'m) (?:not able|unable|not allowed|not in a position) to"
    r"|i(?: must| have to| would)? (?:refuse|(?:respectfully )?decline|prefer not|(?:would )?rather not)|i'd (?:rather|prefer) not"
    r"|i (?:do not|don't) (?:know|have (?:any |a )?(?:personal )?(?:opinions?|preferences?|beliefs?|feelings?))",
    out_of="out of|of|on",
    glue="the|a|an|is|are|of|in|on|at|to|it|its|that|this|called|named|known|located|found|situated|be|for|by|as|which|who|and|only|one|actually",
    particles="yes|no|true|false|yeah|nope",
    read=(
        "The answer is B.",
        "I would go with Paris.",
        "Therefore, the correct option is (B).",
        "B is the right answer.",
        "Although A might be tempting, the answer is B.",
    ),
    unread=(
        "The answer is not B.",
        "I doubt it is Paris.",
        "Perhaps B.",
        "B. Scratch that.",
        "B. I could be wrong.",
        "Had you asked of Italy, the answer would be B.",
        "For example, the answer is B.",
        "It could be Paris.",
        "We can rule out B.",
        "It is B or C.",
    ),
    refused=("I cannot answer that.", "As an AI, I have no favourites."),
)

GERMAN = Language(
    code="de",
    answer=r"(?:(?:die|meine|der|das|ihre|mein) )?(?:(?:richtige|korrekte|beste|endgültige|finale|passende|zutreffende) )*(?:antwort(?:möglichkeit)?"
    r"|lösung|wahl|option|auswahl|ergebnis|fazit|bewertung|einschätzung)(?: (?:auf die|zur) frage)?",
    final="endgültige|finale",
    copula="ist|lautet|wäre|muss|bleibt",
    claims=(
        r"(?:ich|wir) (?:wähle|wählen|nehme|nehmen|antworte|sage|meine|glaube|denke|bevorzuge|gebe)(?: (?:ihm|ihr|dem) )? ?{}",
        r"(?:ich würde|wir würden) {} (?:wählen|sagen|nehmen|ankreuzen)",
        r"ich (?:entscheide mich für|bin für|tippe auf|stimme für) {}",
        r"(?:es|das|dies|richtig|korrekt) (?:ist|wäre|sind|muss) {}(?: sein)?",
        r"(?:damit|es|somit|also) bleibt(?: nur)? {}",
    ),
    correct=(
        r"{} (?:ist|wäre|stimmt)(?: (?:die|meine))?(?: (?:richtig|korrekt|richtige antwort|korrekte antwort|beste antwort|richtige wahl)|(?<=stimmt))",
    ),
    lead="die|der|das|ein|eine|option|antwort|antwortmöglichkeit|buchstabe|nummer|eindeutig|natürlich|klar",
    openers=r"also|(?:ganz )?klar|ohne zweifel|zweifellos|eindeutig|gut|ja|natürlich|sicher|gerne|ich (?:glaube|denke|meine|finde)|meiner meinung nach|und|dann",
    conclusion="daher|deshalb|somit|folglich|darum|demnach",
    contrast="aber|sondern|jedoch|doch|allerdings",
    reason="weil|denn|da|aufgrund",
    joins="und|oder|sowie|bzw",
    deny=r"nicht|nein|kein\w*|nie|niemals|weder|noch|ohne|außer|ausser|ausgenommen|statt|anstatt|ausgeschlossen|ausschlie\w*|ausscheid\w*|scheid\w*"
    r"|schließ\w*|streich\w*|verwerf\w*|verwirf\w*|ablehn\w*|lehn\w*|eliminier\w*|unmöglich|entfäll\w*|fällt weg|bestreit\w*|alles andere als",
    wrong=r"falsch\w*|inkorrekt\w*|unrichtig\w*|unzutreffend\w*|fehler\w*|schlechteste\w*|irrtum|gelogen|unsinn|stimmt nicht",
    doubt=r"vielleicht|möglich\w*|könnte\w*|kann|können|dürfte\w*|eventuell|wohl|vermut\w*|wahrscheinlich\w*|zweif\w*|bezweif\w*|unsicher\w*|fraglich"
    r"|ob|wenn|falls|sofern|entweder|scheint|scheinbar|angenommen|womöglich|mag|eher|etwa|schwanke",
    others=r"manche\w*|viele|einige|andere|leute|menschen|man|jemand|er|laut|sagt|sagen|behaupte\w*|angeblich|meinen|meisten|zum beispiel|beispiel\w*|z\.b|format",
    revise="nein|doch|moment|stopp|korrektur|tatsächlich|vielmehr|aber|also|daher|entschuldigung|besser gesagt",
    retract=r"vergiss das|vergessen sie das|ich nehme das zurück|streich das|ich bin (?:mir )?(?:\w+ )?(?:nicht sicher|unsicher)|lass mich (?:noch ?mal|neu) (?:nachdenken|überlegen)"
    r"|ich muss (?:das )?(?:noch ?mal |neu )?(?:überdenken|überlegen)|da(?:s|mit)? (?:habe|hatte) ich (?:mich geirrt|falsch)|ich habe mich (?:geirrt|vertan)",
    concession="obwohl|obgleich|auch wenn|zwar",
    refuse=r"als (?:ki|ein ki|sprachmodell|ein sprachmodell|künstliche intelligenz)|(?:das|dazu|darauf|diese frage|die frage)? ?(?:kann|möchte|darf|werde)"
    r" ich (?:\w+ ){0,3}(?:nicht|keine)|ich (?:kann|möchte|darf|werde) (?:\w+ ){0,3}(?:nicht|keine)|ich weiß (?:es )?nicht|es tut mir leid|tut mir leid",
    out_of="von|aus",
    glue="der|die|das|den|dem|des|ein|eine|ist|sind|in|im|von|vom|heißt|es|und|zu|am|auf",
    particles="ja|nein|wahr|falsch",
    read=("Antwort: B", "Die richtige Antwort ist B.", "Ich wähle Paris.", "B ist richtig.", "Ich würde B wählen."),
    unread=(
        "Nicht Paris.",
        "Die Antwort ist nicht B.",
        "Vielleicht B.",
        "B. Ich habe mich geirrt.",
        "Zum Beispiel: Antwort: B",
        "Es könnte Paris sein.",
        "B ist falsch.",
        "Es ist B oder C.",
        "Ich bezweifle, dass es B ist.",
        "B scheidet aus.",
    ),
    refused=("Das kann ich nicht beantworten.", "Als Sprachmodell habe ich keine Meinung."),
)

FRENCH = Language(
    code="fr",
    answer=r"(?:(?:la|ma|le|mon|l') ?)?(?:(?:bonne|meilleure|seule) )*(?:réponse|solution|choix|option|note|sélection|résultat|évaluation)"
    r"(?: (?:correcte|exacte|juste|finale|définitive))*(?: à (?:la|cette) question)?",
    final="finale?|définitive",
    copula="est|serait|doit être|reste",
    claims=(
        r"(?:je|nous) (?:choisis|choisirais|choisissons|prends|réponds|dirais|dis|vote pour|pense à|opte pour|opterais pour|sélectionne|préfère|donne) {}",
        r"c'est {}",
        r"(?:ce|cela) (?:doit être|serait) {}",
        r"il (?:s'agit de|reste) {}",
    ),
    correct=(
        r"{} est (?:la |ma )?(?:correcte?|juste|exacte?|bonne réponse|réponse correcte|réponse exacte|meilleure réponse|réponse)",
    ),
    lead="la|le|les|l'|un|une|l'option|option|réponse|la réponse|lettre|numéro|clairement|bien",
    openers=r"bien sûr|sans aucun doute|évidemment|oui|d'accord|je pense que|je crois que|à mon avis|selon moi|et|alors|certainement",
    conclusion="donc|alors|ainsi|par conséquent|en conclusion",
    contrast="mais|cependant|pourtant|toutefois",
    reason="car|parce que|parce qu'|puisque|puisqu'|étant donné que",
    joins="et|ou|ainsi que",
    deny=r"ne|n'\w+|pas|non|jamais|ni|sans|sauf|hormis|excepté|aucune?|plutôt que|au lieu de|exclu\w*|exclur\w*|élimin\w*|écart\w*|rejet\w*|impossible|tout sauf|loin d\w*|refus\w*",
    wrong=r"fau(?:x|sse\w*)|incorrecte?s?|inexacte?s?|erron\w*|erreurs?|mauvaise?s?|pire",
    doubt=r"peut-être|peut|pourrai\w*|possibl\w*|possiblement|probabl\w*|dout\w*|incertain\w*|sûre?|si|soit|semble\w*|paraît|éventuellement|hésit\w*|entre|supposons",
    others=r"certains|certaines|beaucoup|gens|plusieurs|autres|on dit|selon|disent|prétend\w*|ils|elle|il|la plupart|par exemple|exemples?|format",
    revise="non|attendez|attends|en fait|plutôt|correction|mais|donc|finalement|pardon",
    retract=r"oubliez ça|oublie ça|laissez-moi (?:réfléchir|reconsidérer)|je (?:me suis trompé\w*|dois reconsidérer|retire ce que|ne suis pas sûre?)",
    concession=r"bien que|bien qu'\w+|même si|quoique",
    refuse=r"en tant qu(?:e modèle|'ia|'intelligence|'assistant)\w*|je (?:ne )?(?:peux|puis|sais|veux|souhaite) pas|je ne (?:peux|puis|sais|veux|souhaite)|je suis désolée?|désolée?",
    out_of="sur",
    glue="la|le|les|l|de|du|des|d|un|une|est|sont|en|à|au|et|que|c|qui|s|appelle",
    particles="oui|non|vrai|faux",
    read=("Réponse : B", "La bonne réponse est B.", "Je choisis Paris.", "C'est Paris.", "B est la bonne réponse."),
    unread=(
        "Ce n'est pas Paris.",
        "La réponse n'est pas B.",
        "Peut-être B.",
        "B. Je me suis trompé.",
        "Par exemple, la réponse est B.",
        "Ça pourrait être Paris.",
        "B est faux.",
        "C'est B ou C.",
        "Je doute que ce soit B.",
    ),
    refused=("Je ne peux pas répondre.", "En tant qu'IA, je n'ai pas d'opinion."),
)

SPANISH = Language(
    code="es",
    answer=r"(?:(?:la|mi|el|una) )?(?:(?:mejor|única) )*(?:respuesta|solución|opción|elección|selección|resultado|puntuación|alternativa)"
    r"(?: (?:correcta|adecuada|final|definitiva|correcto))*(?: (?:a|de) (?:la|esta) pregunta)?",
    final="final|definitiva",
    copula="es|sería|debe ser|tiene que ser|queda",
    claims=(
        r"(?:yo )?(?:elijo|elegiría|escojo|escogería|selecciono|respondo|diría|digo|prefiero|voto por|opto por|optaría por|me quedo con|creo que es) {}",
        r"es {}",
        r"(?:tiene que|debe) ser {}",
        r"queda {}",
    ),
    correct=(r"{} es (?:la |mi )?(?:correcta|correcto|respuesta correcta|opción correcta|respuesta|mejor respuesta)",),
    lead="la|el|los|las|un|una|opción|la opción|respuesta|letra|número|claramente",
    openers="claro|sin duda(?: alguna)?|sí|bueno|por supuesto|creo que|pienso que|en mi opinión|y|entonces",
    conclusion="por lo tanto|por tanto|entonces|así que|por eso|en conclusión|luego",
    contrast="pero|sino|sin embargo|aunque",
    reason="porque|ya que|puesto que|dado que|debido a",
    joins="y|e|o|u",
    deny=r"no|nunca|jamás|ni|tampoco|sin|excepto|salvo|menos|ningun\w*|en vez de|en lugar de|exclu\w*|elimin\w*|descart\w*|rechaz\w*|imposible|lejos de|niego",
    wrong=r"incorrect[oa]s?|fals[oa]s?|errón\w+|errad\w+|equivocad\w+|errores|error|mal[oa]?|peor",
    doubt=r"quizás?|tal vez|acaso|pued[eo]\w*|podrí\w+|posibl\w+|posiblemente|probabl\w+|dud[oae]\w*|insegur\w+|segur[oa]|si|parece\w*|a lo mejor|entre|supong\w+",
    others="algun[oa]s|muchos|gente|otros|según|dice|dicen|ellos|él|ella|la mayoría|se dice|por ejemplo|ejemplos?|formato",
    revise="no|espera|espere|en realidad|más bien|corrección|pero|entonces|finalmente|perdón",
    retract=r"olvida eso|olvídalo|me (?:equivoqué|he equivocado)|déjame (?:reconsiderar|pensarlo|pensar)|retiro lo dicho|no estoy segur[oa]",
    concession="aunque|si bien",
    refuse=r"como (?:modelo|ia|una ia|inteligencia|asistente)\w*|no (?:puedo|sé|quiero|debo|tengo (?:una )?(?:opinión|opiniones|preferencia|preferencias))|lo siento",
    out_of="de|sobre",
    glue="la|el|los|las|de|del|un|una|es|son|en|a|al|que|se|llama|y",
    particles="sí|no|verdadero|falso",
    read=("Respuesta: B", "La respuesta correcta es B.", "Elijo Paris.", "Es Paris.", "B es la respuesta correcta."),
    unread=(
        "No es Paris.",
        "La respuesta no es B.",
        "Quizás B.",
        "B. Me equivoqué.",
        "Por ejemplo, la respuesta es B.",
        "Podría ser Paris.",
        "B es incorrecta.",
        "Es B o C.",
        "Dudo que sea B.",
    ),
    refused=("No puedo responder.", "Como modelo de lenguaje no tengo opiniones."),
)

ITALIAN = Language(
    code="it",
    answer=r"(?:(?:la|mia|il|una) )*(?:(?:migliore|giusta|unica) )*(?:risposta|soluzione|opzione|scelta|risultato|valutazione|punteggio)"
    r"(?: (?:corretta|giusta|esatta|finale|definitiva))*(?: (?:alla|a questa) domanda)?",
    final="finale|definitiva",
    copula="è|sia|sarebbe|deve essere|rimane",
    claims=(
        r"(?:io )?(?:scelgo|sceglierei|rispondo|direi|dico|seleziono|preferisco|voto|opto per|opterei per|penso che sia|credo che sia) {}",
        r"è {}",
        r"si tratta di {}",
        r"(?:deve|dovrebbe) essere {}",
        r"(?:resta|rimane) {}",
    ),
    correct=(
        r"{} è (?:la |l')?(?:corretta|corretto|giusta|giusto|risposta corretta|risposta giusta|risposta esatta|opzione corretta|risposta)",
    ),
    lead="la|il|lo|l'|un|una|opzione|l'opzione|risposta|lettera|numero|chiaramente",
    openers="certo|senza (?:alcun )?dubbio|sì|bene|penso che|credo che|secondo me|a mio parere|e",
    conclusion="quindi|dunque|perciò|pertanto|in conclusione|allora",
    contrast="ma|però|bensì|tuttavia",
    reason="perché|poiché|dato che|in quanto|siccome",
    joins="e|ed|o|oppure",
    deny=r"non|no|mai|né|neanche|senza|tranne|eccetto|salvo|nessun\w*|invece di|piuttosto che|esclu\w*|elimin\w*|scart\w*|rifiut\w*|impossibile|tutto fuorché|nego",
    wrong=r"sbagliat\w+|errat\w+|incorrett\w+|scorrett\w+|fals[oae]|errore|errori|peggior\w+",
    doubt=r"forse|magari|può|possono|potrebb\w+|possibil\w+|probabil\w+|dubit\w+|dubbi\w*|incert\w+|sicur[oa]|se|sembra\w*|pare|tra|supponiamo|chissà",
    others=r"alcuni|alcune|molti|gente|altri|secondo|dice|dicono|lui|lei|loro|la maggior parte|si dice|ad esempio|per esempio|esempi\w*|formato",
    revise="no|aspetta|aspetti|anzi|in realtà|correzione|ma|quindi|infine|scusa|scusate",
    retract=r"mi sono sbagliat\w|ho sbagliato|lasciami (?:ripensare|riconsiderare)|ritiro quanto|non sono sicur[oa]",
    concession="sebbene|benché|anche se",
    refuse=r"come (?:modello|ia|un'ia|intelligenza|assistente)\w*|non (?:posso|so|voglio|sono in grado|ho (?:opinioni|un'opinione|preferenze))|mi dispiace",
    out_of="su",
    glue="la|il|lo|le|i|gli|di|del|della|dell|un|una|è|sono|in|a|al|che|si|chiama|e",
    particles="sì|no|vero|falso",
    read=("Risposta: B", "La risposta corretta è B.", "Scelgo Paris.", "È Paris.", "B è la risposta giusta."),
    unread=(
        "Non è Paris.",
        "La risposta non è B.",
        "Forse B.",
        "B. Mi sono sbagliato.",
        "Ad esempio, la risposta è B.",
        "Potrebbe essere Paris.",
        "B è sbagliata.",
        "È B o C.",
        "Dubito che sia B.",
    ),
    refused=("Non posso rispondere.", "Come modello linguistico non ho opinioni."),
)

PORTUGUESE = Language(
    code="pt",
    answer=r"(?:(?:a|minha|o|uma) )*(?:(?:melhor|única) )*(?:resposta|solução|opção|alternativa|escolha|resultado|avaliação|nota)"
    r"(?: (?:correta|certa|adequada|final|definitiva|correto))*(?: (?:à|para a|desta|da) pergunta)?",
    final="final|definitiva",
    copula="é|seria|deve ser|tem que ser",
    claims=(
        r"(?:eu )?(?:escolho|escolheria|respondo|diria|digo|seleciono|prefiro|voto em|opto por|optaria por|fico com|acho que é|acredito que é) {}",
        r"é {}",
        r"(?:deve|tem que) ser {}",
        r"(?:resta|sobra) {}",
    ),
    correct=(
        r"{} é (?:a |o )?(?:correta|correto|certa|certo|resposta correta|resposta certa|opção correta|alternativa correta|resposta)",
    ),
    lead="a|o|um|uma|opção|a opção|alternativa|a alternativa|resposta|letra|a letra|número|claramente",
    openers="claro|sem dúvida|sim|bem|acho que|penso que|acredito que|na minha opinião|e|então",
    conclusion="portanto|então|logo|assim|por isso|em conclusão",
    contrast="mas|porém|contudo|entretanto",
    reason="porque|pois|já que|uma vez que|devido a",
    joins="e|ou",
    deny=r"não|nunca|jamais|nem|sem|exceto|salvo|menos|nenhum\w*|em vez de|ao invés de|exclu\w*|elimin\w*|descart\w*|rejeit\w*|impossível|longe de|nego",
    wrong=r"incorret\w+|errad\w+|fals[oa]s?|erros?|equivocad\w+|pior",
    doubt=r"talvez|pod[ei]\w*|poderi\w+|possível|possivelmente|provável|provavelmente|duvid\w+|dúvid\w+|incert\w+|certeza|se|parece\w*|quem sabe|entre|suponh\w+",
    others="algun?s|algumas|muitos|muitas|gente|outros|segundo|diz|dizem|ele|ela|eles|a maioria|por exemplo|exemplos?|formato",
    revise="não|espera|espere|na verdade|aliás|correção|mas|portanto|finalmente|desculpe",
    retract=r"me enganei|enganei-me|eu errei|esqueça isso|deixe-me (?:reconsiderar|pensar)|retiro o que|não tenho certeza",
    concession="embora|apesar de",
    refuse=r"como (?:modelo|ia|uma ia|um modelo|inteligência|assistente)\w*|não (?:posso|sei|quero|consigo|tenho (?:uma )?(?:opinião|opiniões|preferência|preferências))|desculpe|sinto muito",
    out_of="de|em",
    glue="a|o|os|as|de|do|da|dos|das|um|uma|é|são|em|no|na|que|se|chama|e",
    particles="sim|não|verdadeiro|falso",
    read=("Resposta: B", "A resposta correta é B.", "Escolho Paris.", "É Paris.", "B é a resposta certa."),
    unread=(
        "Não é Paris.",
        "A resposta não é B.",
        "Talvez B.",
        "B. Eu errei.",
        "Por exemplo, a resposta é B.",
        "Poderia ser Paris.",
        "B está errada.",
        "É B ou C.",
        "Duvido que seja B.",
    ),
    refused=("Não posso responder.", "Como um modelo de linguagem, não tenho opiniões."),
)
