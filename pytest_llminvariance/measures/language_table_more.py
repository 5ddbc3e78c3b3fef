"""More languages in which answers are read, some without blanks between words; see `language_table`."""

from __future__ import annotations

from pytest_llminvariance.measures.languages import Language

DUTCH = Language(
    code="nl",
    answer=r"(?:(?:het|de|mijn) )?(?:(?:juiste|goede|correcte|beste|definitieve|uiteindelijke) )*(?:antwoord|oplossing|keuze|optie|score|beoordeling)"
    r"(?: op (?:de|deze) vraag)?",
    final="definitieve|uiteindelijke", copula="is|luidt|zou zijn|moet zijn",
    claims=(r"(?:ik|wij|we) (?:kies(?: voor)?|zou kiezen voor|zeg|antwoord|denk|ga voor|stem op|geef) {}", r"(?:het|dit|dat) is {}", r"ik zou {} (?:kiezen|zeggen)"),
    correct=(r"{} is (?:het |de )?(?:juist|correct|goed|juiste antwoord|goede antwoord|juiste keuze|antwoord)",),
    lead="het|de|een|optie|antwoord|letter|nummer|duidelijk", openers="zeker|ja|goed|natuurlijk|ik denk dat|volgens mij|en|dan",
    conclusion="dus|daarom|derhalve", contrast="maar|echter", reason="omdat|want|aangezien", joins="en|of",
    deny=r"niet|nee|nooit|geen|noch|zonder|behalve|uitgezonderd|in plaats van|uitgesloten|uitsluit\w*|sluit|elimineer\w*|verwerp\w*|valt af|afvallen|allesbehalve|ontken",
    wrong=r"fout\w*|onjuist\w*|verkeerd\w*|incorrect\w*|vals\w*|slechtste",
    doubt=r"misschien|mogelijk\w*|wellicht|kan|zou kunnen|zou|waarschijnlijk|twijfel\w*|betwijfel\w*|onzeker|zeker|als|indien|lijkt|tussen|stel",
    others=r"sommige\w*|velen|veel|mensen|anderen|men|volgens|zegt|zeggen|hij|zij|de meeste\w*",
    revise="nee|wacht|eigenlijk|correctie|maar|dus", refuse=r"als (?:ai|een ai|taalmodel|een taalmodel)\w*|(?:dat|daar)? ?(?:kan|mag|wil) ik (?:\w+ ){0,3}(?:niet|geen)"
    r"|ik (?:kan|mag|wil) (?:\w+ ){0,3}(?:niet|geen)|ik weet het niet|het spijt me",
    out_of="van de|van|op", glue="de|het|een|is|zijn|van|in|op|te|en|heet", particles="ja|nee|waar|onwaar",
    read=("Antwoord: B", "Het juiste antwoord is B.", "Ik kies voor Paris.", "Het is Paris.", "B is het juiste antwoord."),
    unread=("Niet Paris.", "Het antwoord is niet B.", "Misschien B.", "Het zou Paris kunnen zijn.", "B is fout.", "Het is B of C.", "Ik betwijfel of het B is."),
    refused=("Dat kan ik niet beantwoorden.", "Als taalmodel heb ik geen mening."),
)

POLISH = Language(
    code="pl",
    answer=r"(?:(?:moja|poprawna|prawidłowa|właściwa|najlepsza|ostateczna) )*(?:odpowiedź|odpowiedzią|opcja|wybór|rozwiązanie|ocena|wynik)(?: (?:końcowa|ostateczna|to))*",
    final="ostateczna|końcowa", copula="to|jest|brzmi|byłaby|to jest",
    claims=(r"(?:wybieram|wybrałbym|wybrałabym|powiem|odpowiadam|myślę, że|sądzę, że|uważam, że)(?: to)? {}", r"to(?: jest)? {}", r"(?:poprawną|prawidłową) odpowiedzią jest {}"),
    correct=(r"{} (?:jest|to) (?:poprawna|poprawne|prawidłowa|prawidłowe|poprawną odpowiedzią|prawidłową odpowiedzią|poprawna odpowiedź|prawidłowa odpowiedź)",),
    lead="opcja|opcję|odpowiedź|litera|literę|numer|odpowiedzi", openers="oczywiście|tak|dobrze|moim zdaniem|i|myślę, że|uważam, że",
    conclusion="więc|zatem|dlatego|czyli", contrast="ale|lecz|jednak|natomiast", reason="ponieważ|bo|gdyż", joins="i|lub|albo|oraz",
    deny=r"nie|nigdy|ani|bez|oprócz|poza|z wyjątkiem|zamiast|wyklucz\w*|eliminuj\w*|odrzuc\w*|żadn\w+|niemożliw\w*|zaprzecz\w*",
    wrong=r"błęd\w+|niepoprawn\w+|nieprawidłow\w+|fałsz\w*|zł[aey]|najgorsz\w+|myln\w+",
    doubt=r"może|możliw\w*|chyba|być może|mógłby|mogłaby|mogłoby|prawdopodobn\w+|wątp\w+|niepewn\w+|pewn\w+|czy|jeśli|jeżeli|gdyby|wydaje|między|załóżmy|raczej",
    others=r"niektórzy|wielu|ludzie|inni|większość|według|mówi|mówią|twierdz\w+|on|ona|oni",
    revise="nie|czekaj|właściwie|poprawka|jednak|więc", refuse=r"jako (?:model|ai|sztuczna|asystent)\w*|nie (?:mogę|wiem|potrafię|chcę|jestem w stanie|mam (?:opinii|zdania))|przykro mi|przepraszam",
    out_of="na|z", glue="to|jest|są|w|na|z|i|się|nazywa", particles="tak|nie|prawda|fałsz",
    read=("Odpowiedź: B", "Poprawna odpowiedź to B.", "Wybieram Paris.", "To jest Paris.", "B jest poprawną odpowiedzią."),
    unread=("Nie Paris.", "To nie jest Paris.", "Odpowiedź to nie B.", "Może B.", "To mógłby być Paris.", "B jest błędna.", "To B lub C.", "Wątpię, że to B."),
    refused=("Nie mogę odpowiedzieć.", "Jako model językowy nie mam opinii."),
)

RUSSIAN = Language(
    code="ru",
    answer=r"(?:(?:мой|правильный|верный|лучший|окончательный|итоговый) )*(?:ответ|вариант ответа|вариант|выбор|решение|оценка)(?: на (?:этот )?вопрос)?",
    final="окончательный|итоговый", copula="это|является|будет|-",
    claims=(r"(?:я )?(?:выбираю|выбрал бы|выбрала бы|отвечаю|думаю,? что|считаю,? что|скажу|голосую за|ставлю)(?: это)? {}", r"это {}", r"(?:правильным|верным) ответом является {}"),
    correct=(r"{} (?:- )?(?:является |это )?(?:правильный|верный|правильным|верным)(?: (?:ответ|ответом|вариант))?", r"{} (?:верно|правильно)"),
    lead="вариант|ответ|буква|букву|номер|пункт", openers="конечно|да|хорошо|по-моему|я думаю,? что|я считаю,? что|и",
    conclusion="поэтому|следовательно|значит|таким образом|итак", contrast="но|однако|а", reason="потому что|так как|поскольку|ибо", joins="и|или|либо",
    deny=r"не|нет|ни|никогда|без|кроме|вместо|исключ\w*|отверга\w*|отбрас\w*|нельзя|невозможн\w*|отрица\w*|никак\w*",
    wrong=r"неверн\w*|неправильн\w*|ошиб\w*|ложн\w*|ложь|худш\w+|некорректн\w*",
    doubt=r"возможно|может|мог\w*|наверное|наверно|вероятн\w*|сомнева\w*|сомнительно|сомнени\w*|кажется|пожалуй|если|ли|уверен\w*|либо|между|допустим|предположим|скорее",
    others=r"некоторые|многие|люди|другие|большинство|говорят|говорит|утвержда\w+|он|она|они|согласно|якобы",
    revise="нет|подожди|подождите|на самом деле|точнее|вернее|исправление|но|поэтому", refuse=r"как (?:ии|языковая модель|искусственный интеллект|ассистент)|(?:я )?не (?:могу|знаю|буду|хочу|имею (?:мнения|права))|извините|к сожалению",
    out_of="из", glue="это|является|в|на|и|называется|-", particles="да|нет",
    read=("Ответ: B", "Правильный ответ — B.", "Я выбираю Paris.", "Это Paris.", "B является правильным ответом."),
    unread=("Это не Paris.", "Ответ не B.", "Возможно, B.", "Это может быть Paris.", "B неверно.", "Это B или C.", "Сомневаюсь, что это B."),
    refused=("Я не могу ответить.", "Как языковая модель, я не имею мнения."),
)

TURKISH = Language(
    code="tr",
    answer=r"(?:(?:doğru|benim|en iyi|nihai|son) )*(?:cevap|cevabım|cevabı|yanıt|yanıtım|seçenek|seçimim|tercihim|puanım)", final="nihai|son", copula="şudur|şu|olarak",
    claims=(r"(?:doğru|benim|en iyi) (?:cevap|cevabım|yanıt|yanıtım|seçenek)(?: ise)? {}(?:'?(?:d[ıiuü]r|t[ıiuü]r)| olur| şıkkı(?:dır)?| seçeneği(?:dir)?)?",
            r"(?:cevap|cevabım|yanıt|yanıtım) {}(?:'?(?:d[ıiuü]r|t[ıiuü]r)| olur| şıkkı(?:dır)?| seçeneği(?:dir)?)?",
            r"ben {}(?:'?[yn]?[ıiuü])? (?:seçiyorum|seçerdim|derim|tercih ederim)",
            r"{}(?:'?[yn]?[ıiuü])? (?:seçiyorum|seçerdim|derim|tercih ederim)", r"bu {}(?:'?(?:d[ıiuü]r|t[ıiuü]r))"),
    correct=(r"{}(?: şıkkı| seçeneği)? (?:doğru cevaptır|doğru yanıttır|doğru cevap|doğrudur|doğru)",),
    lead="seçenek|şık|cevap|harf", openers="tabii|evet|elbette|bence|ve", conclusion="bu yüzden|dolayısıyla|bu nedenle|öyleyse|o halde", contrast="ama|fakat|ancak|lakin",
    reason="çünkü|zira", joins="ve|veya|ya da|yahut",
    deny=r"değil\w*|hayır|asla|yok|hariç|dışında|ne|eliyor\w*|elen\w*|eler\w*|olamaz|olmaz|reddedi\w*|olmayan|sanmıyorum|düşünmüyorum|yerine",
    wrong=r"yanlış\w*|hatalı\w*|hata|geçersiz|en kötü",
    doubt=r"belki|olabilir|muhtemelen|galiba|herhalde|şüphe\w*|kuşku\w*|emin|acaba|eğer|sanırım|mümkün|arasında|gibi",
    others=r"bazı\w*|birçok|çoğu|insanlar|diğerleri|göre|diyor\w*|derler|iddia\w*|o", revise="hayır|dur|aslında|düzeltme|ama|fakat",
    refuse=r"bir yapay zeka|yapay zeka olarak|dil modeli olarak|(?:\w+ )?(?:cevap veremem|yanıt veremem|cevaplayamam|yanıtlayamam|seçemem|bilmiyorum)|üzgünüm",
    out_of="üzerinden", glue="dır|dir|olan|ve|bir|bu", particles="evet|hayır|doğru|yanlış",
    read=("Cevap: B", "Doğru cevap B'dir.", "Paris'i seçiyorum.", "B doğru cevaptır."),
    unread=("Paris değil.", "Doğru cevap B değil.", "Belki B.", "Paris olabilir.", "B yanlış.", "B veya C.", "B olduğundan şüpheliyim."),
    refused=("Cevap veremem.", "Bir yapay zeka olarak fikrim yok."),
)

ARABIC = Language(
    code="ar",
    answer=r"(?:الإجابة|الاجابة|الجواب|إجابتي|اجابتي|جوابي|الخيار|الاختيار|اختياري|الحل|التقييم)(?: (?:الصحيحة|الصحيح|النهائية|النهائي|الأفضل|المناسب|المناسبة))*",
    final="النهائية|النهائي", copula="هي|هو|هى",
    claims=(r"(?:أنا )?(?:أختار|اختار|سأختار|أجيب|أقول|أفضل) {}", r"(?:إنها|إنه|هي|هو) {}"),
    correct=(r"{} (?:هو|هي)(?: (?:الخيار|الجواب|الإجابة|الاجابة))?(?: (?:الصحيحة|الصحيح))?",),
    lead="الخيار|الحرف|رقم|الإجابة|الجواب|حرف", openers="بالتأكيد|نعم|حسنا|أعتقد أن|أظن أن|في رأيي", conclusion="لذلك|إذن|لذا|وبالتالي|إذا", contrast="لكن|ولكن|بل",
    reason="لأن|لأنها|لأنه|بسبب", joins="أو|و|أم",
    deny=r"(?:و|ف)?(?:لا|ليس|ليست|لست|لم|لن|غير|بدون|ما عدا|عدا|باستثناء|إلا|سوى|كلا|أبدا|بدلا)|استبع\w*|نستبع\w*|أستبع\w*|استثن\w*|أرفض|مستحيل|يستحيل",
    wrong=r"(?:ال)?(?:خطأ|خاطئ|خاطئة|خاطئه|غلط|كاذب|كاذبة|باطل|أسوأ)",
    doubt=r"ربما|قد|لعل|يمكن|محتمل|من المحتمل|من الممكن|أشك|شك|إن|لو|هل|متأكد\w*|بين|يبدو|لنفترض|إما",
    others=r"البعض|بعض|كثير\w*|الناس|يقول\w*|يقال|يدعي|يزعم\w*|حسب|وفقا|معظم|قال",
    revise="لا|انتظر|في الواقع|بل|تصحيح|لكن|لذلك", refuse=r"بصفتي|كنموذج|كوني (?:نموذج|ذكاء)\w*|لا (?:أستطيع|يمكنني|أعرف|أعلم|أريد|أملك)|آسف|عذرا|أعتذر",
    out_of="من", glue="هي|هو|في|من|على|و", particles="نعم|لا",
    read=("الإجابة: B", "الإجابة الصحيحة هي B.", "أختار Paris.", "B هو الجواب الصحيح."),
    unread=("ليس Paris.", "الإجابة ليست B.", "ربما B.", "قد يكون Paris.", "B خطأ.", "B أو C.", "أشك أنها B."),
    refused=("لا أستطيع الإجابة.", "بصفتي نموذج لغة ليس لدي رأي."),
)

HINDI = Language(
    code="hi",
    answer=r"(?:(?:मेरा|सही|सबसे|अच्छा|अंतिम|सर्वोत्तम) )*(?:उत्तर|जवाब|विकल्प|चुनाव|हल)", final="अंतिम", copula="है|होगा",
    claims=(r"(?:(?:मेरा|सही|अंतिम|इसका) )*(?:उत्तर|जवाब|विकल्प)(?: है)? {} ?(?:है|होगा)?", r"(?:यह|वह) {} है", r"मैं {} (?:चुनता हूँ|चुनूँगा|चुनती हूँ|चुनूँगी|को चुनता हूँ|को चुनूँगा)"),
    correct=(r"{} (?:सही|सही उत्तर|सही जवाब|सही विकल्प) है",),
    lead="विकल्प|उत्तर", openers="हाँ|ज़रूर|बेशक|मेरे विचार से|और", conclusion="इसलिए|अतः|तो", contrast="लेकिन|परंतु|मगर|बल्कि", reason="क्योंकि|चूँकि", joins="और|या|अथवा",
    deny=r"नहीं|ना|मत|बिना|छोड़कर|अलावा|सिवाय|बजाय|कभी नहीं|हटा\w*|बाहर|असंभव|इनकार", wrong=r"गलत|ग़लत|असत्य|झूठ|अशुद्ध",
    doubt=r"शायद|संभव\w*|संभावना|हो सकता|सकता|सकती|संदेह|शक|यदि|अगर|लगता|निश्चित|बीच|मान लो",
    others=r"कुछ|कई|लोग|अन्य|अनुसार|कहते|कहता|अधिकांश|वे", revise="नहीं|रुको|वास्तव में|लेकिन|इसलिए",
    refuse=r"(?:एक )?(?:एआई|भाषा मॉडल|ए आई)|मैं (?:[^ ]+ ){0,4}नहीं (?:दे सकता|दे सकती|कर सकता|कर सकती|बता सकता|चुन सकता|जानता|जानती)|क्षमा करें|माफ़ करें|मुझे नहीं पता",
    out_of="में से", glue="है|हैं|का|की|के|में|को|से|यह", particles="हाँ|नहीं",
    read=("उत्तर: B", "सही उत्तर B है।", "मैं Paris चुनता हूँ।", "B सही है।"),
    unread=("Paris नहीं।", "सही उत्तर B नहीं है।", "शायद B।", "Paris हो सकता है।", "B गलत है।", "B या C।", "मुझे संदेह है कि यह B है।"),
    refused=("मैं उत्तर नहीं दे सकता।", "मुझे नहीं पता।"),
)

CHINESE = Language(
    code="zh",
    answer=r"(?:(?:我的|正确|正確|最终|最終|最佳|标准|参考|所以|的) ?)*(?:答案|选项|選項|选择|選擇|回答|答|评分|評分|分数)", final="最终|最終", copula="是|为|為|应为|应该是|應該是|选|就是",
    claims=(r"(?:我|我会|我會|应|應|应该|應該)? ?(?:选择|選擇|选|選|认为是|給|给) {}", r"(?:这|那|這|它|应该|應該)? ?是 {}"),
    correct=(r"{} ?(?:是|为)? ?(?:正确的答案|正确答案|正确的|正确|正確的|正確答案|正確|对的|對的|正解)",),
    lead="选项|選項|答案|字母|第", openers="好的|当然|當然|我认为|我認為|我觉得|我想", conclusion="所以|因此|故|那么|因而|综上", contrast="但是|但|不过|然而|而是",
    reason="因为|因為|由于|由於", joins="和|或者|或|与|及|還是|还是",
    deny="不|没|沒|非|未|无法|無法|除了|除|排除|否|别|別|勿|以外|之外|而非|拒绝", wrong="错|錯|误|誤|假的|谬",
    doubt="可能|也许|也許|或许|或許|大概|怀疑|懷疑|恐怕|似乎|如果|若|假如|是否|吗|嗎|应当|好像|或者|之间|难说|猜",
    others="有人|人们|人們|很多人|大多数|大多數|别人|他|她|据说|據說|有些|认为.*认为", revise="不|等等|其实|其實|更正|但|所以|因此",
    refuse="作为.{0,6}(?:人工智能|ai|语言模型|模型|助手)|我(?:无法|無法|不能|不知道|不会)|抱歉|对不起|對不起",
    out_of="/", glue="的|是|在|了|為|为|叫", particles="是|否|对|错",
    read=("答案：B", "正确答案是B。", "我选择Paris。", "选B。", "B是正确的。"),
    unread=("不是Paris。", "答案不是B。", "可能是B。", "也许是Paris。", "B是错误的。", "B或C。", "我怀疑是B。", "排除B。"),
    refused=("我无法回答。", "作为人工智能，我没有意见。"), spaced=False,
)

JAPANESE = Language(
    code="ja",
    answer=r"(?:(?:正しい|私の|最終的な|最終|最も適切な|正解の) ?)*(?:答え|答|回答|解答|正解|選択肢|選択|評価)", final="最終", copula="は",
    claims=(r"(?:(?:正しい|私の|最終的な|最終) ?)*(?:答え|答|回答|解答|正解|選択肢) ?(?:は|:) ?{} ?(?:です|だ|である|になります|でしょう(?!か))",
            r"(?:私は|僕は)? ?{} ?(?:を選びます|を選択します|を選ぶ|にします|だと思います|と思います)", r"(?:それは|これは)? ?{} ?(?:です|だ|である)"),
    correct=(r"{} ?(?:が|は) ?(?:正解|正しい|正しい答え|答え)(?:です|だ|である)?",),
    lead="選択肢|答え|番号", openers="はい|もちろん|私の考えでは", conclusion="したがって|よって|だから|ゆえに|従って|つまり", contrast="しかし|でも|ですが|けれども",
    reason="なぜなら|ので|から", joins="と|や|または|か|もしくは|及び",
    deny="ない|ません|ぬ|除|以外|違|否|不|消去|排除|外れ|なし|いいえ", wrong="誤|間違|ダメ|偽|不正解|ハズレ",
    doubt="かも|たぶん|多分|おそらく|恐らく|疑|可能性|もし|なら|でしょうか|かどうか|迷|らしい|よう|だろう|あるいは|間",
    others="人は|人々|という人|彼|彼女|によると|によれば|一部|多くの", revise="いや|いいえ|待|実は|訂正|しかし|したがって",
    refuse="(?:ai|人工知能|言語モデル|アシスタント) ?(?:として|なので|である)|(?:答え|お答え|回答|選択|選ぶこと)(?:は|が|を)?(?:でき|られ)(?:ません|ない)|わかりません|分かりません|申し訳",
    out_of="/|点中", glue="は|の|が|です|だ|である|に|を|と|で", particles="はい|いいえ",
    read=("答え：B", "正解はBです。", "Parisを選びます。", "Bが正解です。"),
    unread=("Parisではありません。", "正解はBではない。", "Bかもしれません。", "たぶんB。", "Bは間違いです。", "BかC。", "Bは除外できます。"),
    refused=("お答えできません。", "AIとして意見を持っていません。"), spaced=False,
)

KOREAN = Language(
    code="ko",
    answer=r"(?:(?:올바른|정확한|제|나의|저의|최종|가장 적절한|맞는) ?)*(?:정답|답변|답|대답|선택지|선택|평가|점수)", final="최종", copula="은|는",
    claims=(r"(?:(?:올바른|정확한|제|나의|저의|최종) ?)*(?:정답|답변|답|대답|선택)(?:은|는|:)? ?{} ?(?:입니다|이다|다|예요|이에요|번입니다|번)",
            r"(?:저는|나는)? ?{} ?(?:을|를|을\(를\))? ?(?:선택합니다|선택하겠습니다|고르겠습니다|고릅니다|선택한다)", r"(?:그것은|이것은)? ?{} ?(?:입니다|이다|예요|이에요)"),
    correct=(r"{} ?(?:이|가|은|는) ?(?:정답|옳습니다|맞습니다|맞다|옳다|올바른 답|답)(?:입니다|이다|예요)?",),
    lead="선택지|보기|옵션|번호", openers="네|물론|물론입니다|제 생각에는|제 생각에", conclusion="따라서|그러므로|그래서|즉", contrast="하지만|그러나|그렇지만|지만",
    reason="왜냐하면|때문에|이므로", joins="와|과|또는|이나|나|및|혹은|하고",
    deny="아니|않|없|못|제외|빼고|외에|말고|배제|불가|제거", wrong="틀리|틀렸|틀린|오답|거짓|잘못|오류",
    doubt="아마|수도|수 있|의심|혹시|글쎄|모르|만약|라면|일까|같습|같아|가능|듯|확실|사이|것 같",
    others="사람들|일부|많은|어떤 사람|그는|그녀|에 따르면|라고 한다|라고 말", revise="아니|잠깐|사실|정정|하지만|따라서",
    refuse="(?:ai|인공지능|언어 모델|인공 지능) ?(?:로서|이므로|라서|이기)|(?:대답|답변|답|선택)(?:할|을|을 할|드릴)? ?수 ?(?:가 )?없|죄송|알 수 없|모르겠",
    out_of="/|점 만점에", glue="은|는|이|가|의|에|입니다|을|를", particles="네|아니요|예",
    read=("답: B", "정답은 B입니다.", "Paris를 선택합니다.", "B가 정답입니다."),
    unread=("Paris가 아닙니다.", "정답은 B가 아닙니다.", "아마 B.", "Paris일 수도 있습니다.", "B는 틀렸습니다.", "B 또는 C.", "B는 제외합니다."),
    refused=("대답할 수 없습니다.", "AI로서 의견이 없습니다."), spaced=False,
)
